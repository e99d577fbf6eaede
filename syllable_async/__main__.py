"""The command line, `python -m syllable_async`: see `syllable_async.jobs`."""

import signal
import sys
from types import FrameType
from typing import NoReturn


def _end(number: int, _: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


if __name__ == "__main__":  # what follows takes long, and a signal ends it quietly, too
    for _number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(_number, _end)

from .jobs import main  # noqa: E402

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
