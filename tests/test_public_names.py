"""What `syllable_async` shows: names that say where they are imported from, and annotations that can be resolved."""

from __future__ import annotations

import inspect
import pickle
import typing
from datetime import UTC, datetime
from enum import StrEnum
from importlib import import_module
from pathlib import Path

import attrs
import pytest

import syllable_async
from syllable_async import (
    Cursor,
    OrderByDirection,
    RetryPolicy,
    SavedRecording,
    Session,
    SessionLabelProperties,
    SessionProperties,
)
from syllable_async._endpoints import session_labels, sessions
from syllable_async._pagination.cursor import CursorSpan

PUBLIC = {name: getattr(syllable_async, name) for name in syllable_async.__all__}
NAMED = {name: thing for name, thing in PUBLIC.items() if inspect.isclass(thing) or inspect.isfunction(thing)}
MODELS = {name: thing for name, thing in NAMED.items() if inspect.isclass(thing) and attrs.has(thing)}
CLASSES = {sessions: "Sessions", session_labels: "SessionLabels"}
VALUES = [
    Cursor(fingerprint="x", spans=(CursorSpan(since=datetime(2026, 1, 5, tzinfo=UTC)),)),
    RetryPolicy(),
    SavedRecording(path=Path("a.wav"), size=1, sha256="0", content_type=None, verified="length"),
    Session(timestamp=datetime(2026, 1, 5, tzinfo=UTC)),
]


@pytest.mark.parametrize("name", NAMED)
def test_a_public_name_names_the_public_module_that_has_it(name: str) -> None:
    module = NAMED[name].__module__
    assert module in {"syllable_async", "syllable_async.errors", "syllable_async.models"}
    assert getattr(import_module(module), name) is NAMED[name]
    assert b"syllable_async._" not in pickle.dumps(NAMED[name])


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_pickled_value_names_no_private_module(value: object) -> None:
    pickled = pickle.dumps(value)
    assert b"syllable_async._" not in pickled
    assert pickle.loads(pickled) == value


@pytest.mark.parametrize("name", MODELS)
def test_the_annotations_of_a_public_attrs_class_can_be_resolved(name: str) -> None:
    resolved = typing.get_type_hints(MODELS[name])
    fields = attrs.fields(attrs.resolve_types(MODELS[name]))
    assert {field.name for field in fields} <= set(resolved)
    assert not any(isinstance(field.type, str) for field in fields)


@pytest.mark.parametrize(
    ("module", "properties"), [(sessions, SessionProperties), (session_labels, SessionLabelProperties)]
)
def test_the_names_that_editors_complete_are_the_known_ones(module: typing.Any, properties: type[StrEnum]) -> None:
    assert typing.get_args(module.PropertyName) == tuple(properties)
    assert typing.get_args(module.DirectionName) == tuple(OrderByDirection)
    for name in ("search_fields", "order_by", "fields"):
        assert "PropertyName" in inspect.signature(module.__dict__[CLASSES[module]].list).parameters[name].annotation
