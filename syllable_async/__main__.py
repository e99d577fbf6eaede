"""The command line, `python -m syllable_async`: see `syllable_async.jobs`."""

import sys

from .jobs import main

__all__ = ["main"]

if __name__ == "__main__":
    sys.exit(main())
