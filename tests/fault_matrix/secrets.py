"""Secrets that must not turn up, and the places where they are looked for."""

from __future__ import annotations

import gc
import logging
import pickle
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

KEY = "canary-key-2f61c0"
NEWER_KEY = "canary-key-newer-77ab"
TOKEN = "canary-token-9d04e1"
SESSION_ID = "canary-session-5b7e33"
SESSION_NUMBER = "77319046550127"
PATIENT = "canary-patient-has-measles"

EVERYWHERE = (KEY, NEWER_KEY, TOKEN, SESSION_ID, SESSION_NUMBER, PATIENT)
IN_LOCALS = (KEY, NEWER_KEY, TOKEN, PATIENT)
"""Not to be seen even by a reporter that prints the local variables of every frame of a traceback."""

_TESTS = str(Path(__file__).parents[1])


class Watch(logging.Handler):
    """Hears every log record and warning while it is entered."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.heard: list[str] = []
        self.levels: list[int] = []
        """Of the library's own records."""
        self._warnings = warnings.catch_warnings(record=True)
        self._caught: list[warnings.WarningMessage] | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == "syllable_async":
            self.levels.append(record.levelno)
        self.heard += [str(record.msg), repr(record.args), logging.Formatter().format(record)]

    def __enter__(self) -> Self:
        gc.freeze()  # what is here already is none of the cell's garbage
        self._caught = self._warnings.__enter__()
        warnings.simplefilter("always")
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
        self._warnings.__exit__(None, None, None)

    @property
    def warned(self) -> list[str]:
        return [f"{caught.category.__name__}: {caught.message}" for caught in self._caught or ()]

    def collect(self) -> None:
        """Let what was forgotten (an unclosed connection, a task never awaited) complain now."""
        gc.collect()


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error, its causes and its contexts."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def texts_of(error: BaseException) -> Iterator[str]:
    """Everything that a reporter would show of an error."""
    for link in chain(error):
        yield str(link)
        yield repr(link)
        yield repr(link.args)
        yield "".join(getattr(link, "__notes__", ()))
    yield "".join(traceback.format_exception(error))


def locals_of(error: BaseException) -> Iterator[str]:
    """The local variables in every frame of the traceback that is not a test's."""
    for link in chain(error):
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if not frame.f_code.co_filename.startswith(_TESTS):
                for name, value in frame.f_locals.items():
                    yield f"{frame.f_code.co_qualname}: {name} = {_repr(value)}"


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # half-built objects in the frames of an __init__
        return f"<no repr: {type(error).__name__}>"


def pickled(error: BaseException) -> bytes:
    """What another process would get to see; the error must survive the way."""
    data = pickle.dumps(error)
    again = pickle.loads(data)
    assert type(again) is type(error)
    assert str(again) == str(error)
    return data


def found(secrets: tuple[str, ...], texts: Iterator[str]) -> list[str]:
    """Which secrets stand in which texts."""
    return [f"{secret} in {text[:300]!r}" for text in texts for secret in secrets if secret in text]
