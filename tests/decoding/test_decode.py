"""Decoding: both paths equal, hooks honoured, errors without values."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta, timezone
from enum import Enum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, get_args, get_origin

import attrs
import msgspec
import pytest
from cattrs.preconf.msgspec import MsgspecJsonConverter
from hypothesis import given
from hypothesis import strategies as st

from syllable_async import OrderByDirection, ResponseValidationError, decode, make_converter, models, to_dict, to_json

MODELS: list[Any] = [getattr(models, name) for name in models.__all__ if attrs.has(getattr(models, name))]
MODELS.remove(models.ListResponse)  # generic: lists of known rows have classes of their own
MODELS.remove(models.InvalidRow)  # made by the client, never sent
MODELS.remove(models.SessionLabelCreate)  # only sent, and checked where it is made
DEFAULT = make_converter()
SLOW = make_converter().copy(prefer_attrib_converters=True)  # an option is cattrs' own: nothing is read natively
SECRET = "CANARY-555-0199"


def values(cls: Any) -> st.SearchStrategy[Any]:
    """Instances of a field's type, unknown enum members included."""
    if get_origin(cls) is UnionType:
        return st.one_of([values(part) for part in get_args(cls)])
    if get_origin(cls) is tuple:
        return st.lists(values(get_args(cls)[0]), max_size=3).map(tuple)
    if cls is Any:
        return st.recursive(values(int | float | bool | None) | values(str), _nested, max_leaves=4)
    if cls is datetime:
        offsets = st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(lambda d: d - d % timedelta(minutes=1))
        zones = offsets.map(timezone)
        return st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1), timezones=zones)
    if isinstance(cls, type) and issubclass(cls, Enum):
        return st.sampled_from(list(cls)) | st.text(min_size=1).filter(_encodable).map(cls)
    leaves: dict[Any, st.SearchStrategy[Any]] = {
        Any: st.none() | st.integers(0, 9) | st.lists(st.booleans(), max_size=2),
        str: st.text().filter(_encodable),
        int: st.integers(-(2**53), 2**53),
        float: st.floats(allow_nan=False, allow_infinity=False),
        bool: st.booleans(),
        NoneType: st.none(),
    }
    return leaves[cls] if cls in leaves else instances(cls)


def _nested(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=3) | st.dictionaries(values(str), inner, max_size=3)


def _encodable(text: str) -> bool:
    return not any("\ud800" <= char <= "\udfff" for char in text)


def instances(cls: Any) -> st.SearchStrategy[Any]:
    attrs.resolve_types(cls)
    return st.builds(cls, **{field.name: values(field.type) for field in attrs.fields(cls)})


@given(st.data())
@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_what_is_written_reads_back_equal_on_both_paths(cls: Any, data: st.DataObject) -> None:
    model = data.draw(instances(cls))
    assert decode(to_json(model), cls) == model
    assert DEFAULT.structure(msgspec.json.decode(to_json(model)), cls) == model
    assert DEFAULT.structure(to_dict(model), cls) == model
    assert pickle.loads(pickle.dumps(model)) == model


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
).filter(lambda value: _encodable(repr(value)))
STAMPS = st.sampled_from(
    ["2026-01-01T00:00:00", "2026-01-01T00:00:00Z", "2026-01-01 00:00:00+02:00", "2026-01-01", "x"]
)


def rough(cls: Any) -> st.SearchStrategy[Any]:
    """JSON near a model: right names, values right or wrong."""
    attrs.resolve_types(cls)
    fields: dict[str, st.SearchStrategy[Any]] = {"unknown": JSON}
    for field in attrs.fields(cls):
        good = STAMPS if "datetime" in str(field.type) else values(field.type).map(_builtin)
        fields[field.name] = good | JSON
    return st.fixed_dictionaries({}, optional=fields) | JSON


def _builtin(value: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(value))


def outcome(function: Any, *args: Any) -> Any:
    try:
        return function(*args)
    except (ResponseValidationError, ExceptionGroup, msgspec.ValidationError, ValueError):
        return "refused"


@given(st.data())
@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
@pytest.mark.filterwarnings("ignore::syllable_async.ResponseDriftWarning")
def test_native_and_cattrs_agree_on_any_json(cls: Any, data: st.DataObject) -> None:
    value = data.draw(rough(cls))
    try:
        body = msgspec.json.encode(value)
    except (msgspec.MsgspecError, ValueError, OverflowError):
        return
    assert outcome(decode, body, cls) == outcome(decode, body, cls, SLOW)


def test_a_lenient_structuring_would_be_caught() -> None:
    """cattrs as it comes accepts what msgspec refuses: the property above has something to find."""
    from cattrs.preconf.msgspec import make_converter as lenient

    body = b'{"summary": 5}'
    with pytest.raises(ResponseValidationError):
        decode(body, models.SessionSummaryResponse)
    assert lenient().structure(msgspec.json.decode(body), models.SessionSummaryResponse).summary == "5"


def test_a_users_hook_is_honoured_where_it_touches_and_only_there() -> None:
    converter = make_converter()
    converter.register_structure_hook(datetime, lambda value, _: ("stamp", value))
    page = decode(b'{"items":[{"timestamp":"T"}],"page":0,"page_size":1}', models.ListResponseSession, converter)
    assert page.items[0].timestamp == ("stamp", "T")
    assert converter.get_loads_hook(models.SessionSummaryResponse).__name__ == "decode"
    assert converter.copy().structure({"timestamp": "T"}, models.Session).timestamp == ("stamp", "T")


@pytest.mark.parametrize("how", ["func", "factory", "decorator", "class"])
def test_every_way_to_register_a_hook_counts(how: str) -> None:
    converter = make_converter()
    assert isinstance(converter, MsgspecJsonConverter)
    known = converter.get_loads_hook(models.Session)
    assert known.__name__ == "decode"

    def shout(value: Any, _: Any = None) -> Any:
        return value["agent_name"].upper()

    def factory(_: Any) -> Any:
        return shout

    if how == "func":
        converter.register_structure_hook_func(lambda cls: cls is models.Session, shout)
    elif how == "factory":
        converter.register_structure_hook_factory(lambda cls: cls is models.Session, factory)
    elif how == "class":
        converter.register_structure_hook(models.Session, shout)
    else:

        @converter.register_structure_hook
        def decorated(value: Any, _: Any) -> models.Session:  # the return type names what is hooked
            result: models.Session = shout(value)
            return result

    result: Any = decode(b'{"timestamp":"2026-01-01T00:00:00","agent_name":"ada"}', models.Session, converter)
    assert result == "ADA"


@pytest.mark.parametrize("failure", [ValueError, TypeError, KeyError, AttributeError, IndexError])
def test_a_hook_that_fails_is_a_bad_reply_without_its_value(failure: type[Exception]) -> None:
    converter = make_converter()

    def hook(value: Any, _: Any) -> Any:
        raise failure(value)

    converter.register_structure_hook(datetime, hook)
    with pytest.raises(ResponseValidationError) as caught:
        decode(f'{{"timestamp":"{SECRET}"}}'.encode(), models.Session, converter)
    assert SECRET not in str(caught.value)
    assert caught.value.path.startswith("$")


BAD = {
    "empty": b"",
    "null": b"null",
    "array": b"[]",
    "html": b"<html>CANARY-555-0199</html>",
    "bad UTF-8": b'{"timestamp":"\xff"}',
    "BOM": b'\xef\xbb\xbf{"timestamp":"2026-01-01T00:00:00Z"}',
    "NaN": b'{"timestamp":"2026-01-01T00:00:00Z","duration":NaN}',
    "infinite": b'{"timestamp":"2026-01-01T00:00:00Z","duration":1e999}',
    "deep": b"[" * 100_000,
    "long int": b'{"timestamp":"2026-01-01T00:00:00Z","prompt_version_number":' + b"9" * 5000 + b"}",
    "surrogate": b'{"timestamp":"2026-01-01T00:00:00Z","source":"\\ud800"}',
    "cut": b'{"timestamp":"2026-01-01T00:00',
    "missing": b"{}",
    "wrong type": b'{"timestamp":"2026-01-01T00:00:00Z","source":["CANARY-555-0199"]}',
    "bad time": b'{"timestamp":"CANARY-555-0199"}',
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("touched", [False, True], ids=["native", "cattrs"])
def test_a_bad_reply_is_named_without_its_values(name: str, touched: bool) -> None:
    converter = make_converter()
    if touched:
        converter.register_structure_hook(models.LatencyCategory, lambda value, _: value)
        converter.register_structure_hook_func(lambda cls: cls == (bool | None), lambda value, _: value)
    with pytest.raises(ResponseValidationError) as caught:
        decode(BAD[name], models.Session, converter)
    error = caught.value
    assert error.model == "Session"
    assert error.path.startswith("$")
    assert error.problem
    assert SECRET not in f"{error} {error!r} {error.__dict__}"
    assert error.__context__ is None
    assert error.__cause__ is None
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_a_timestamp_without_offset_is_utc_and_others_keep_theirs() -> None:
    naive = decode(b'{"timestamp":"2026-01-01T10:00:00"}', models.Session)
    assert naive.timestamp == datetime(2026, 1, 1, 10, tzinfo=UTC)
    offset = decode(b'{"timestamp":"2026-01-01T10:00:00+02:00"}', models.Session)
    assert offset.timestamp.utcoffset() == timedelta(hours=2)


def test_unknown_fields_are_ignored_and_unknown_enum_values_live_on() -> None:
    body = b'{"kind":"dream","timestamp":"2026-01-01T00:00:00Z","offset":"0","new":{"a":[1]}}'
    event = decode(body, models.TimelineEvent)
    assert event.kind == "dream"
    assert isinstance(event.kind, models.TimelineEventKind)
    assert models.TimelineEventKind("tool") is models.TimelineEventKind.TOOL
    assert msgspec.json.decode(to_json(event))["kind"] == "dream"


def test_dicts_are_plain() -> None:
    session = models.Session(timestamp=datetime(2026, 1, 1, tzinfo=UTC), duration=1.5)
    assert to_dict(session)["timestamp"] == datetime(2026, 1, 1, tzinfo=UTC)
    event = models.TimelineEvent(kind=models.TimelineEventKind.TOOL, timestamp=session.timestamp, offset="0")
    assert type(to_dict(event)["kind"]) is str


@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_models_are_frozen_keyword_only_and_discreet(cls: Any) -> None:
    assert not hasattr(cls, "__dict__") or "__slots__" in vars(cls)
    assert all(field.kw_only for field in attrs.fields(cls))
    patient = {"text", "summary", "tool_request", "tool_result", "tool_error", "words", "word", "recordings", "target"}
    hidden = {field.name for field in attrs.fields(cls) if callable(field.repr)}
    if cls is not models.InspectLatencyResponse:
        names = {field.name for field in attrs.fields(cls)}
        assert (patient | {"source"}) & names <= hidden


@lru_cache
def as_attrs_makes_it(cls: Any) -> Any:
    generated: Any = attrs.frozen(type(cls.__name__, (cls,), {}), kw_only=True)
    assert all(name in generated.__dict__ for name in ("__eq__", "__hash__", "__repr__"))
    return generated


@given(st.data())
@pytest.mark.parametrize("cls", MODELS, ids=lambda cls: cls.__name__)
def test_models_compare_hash_and_show_as_attrs_would_make_them(cls: Any, data: st.DataObject) -> None:
    model = data.draw(instances(cls))
    twin: Any = as_attrs_makes_it(cls)(**attrs.asdict(model, recurse=False))
    assert repr(model) == repr(twin)
    assert model == attrs.evolve(model)
    assert model != twin, "another class"
    for name, value in attrs.asdict(model, recurse=False).items():
        assert (model == attrs.evolve(model, **{name: None})) is (value is None), name
    try:
        hash(twin)
    except TypeError:  # it holds JSON of dicts and lists
        with pytest.raises(TypeError, match="unhashable"):
            hash(model)
    else:
        assert hash(model) == hash(attrs.evolve(model))


def test_a_session_reads_as_one_harmless_line() -> None:
    session = models.Session(
        timestamp=datetime(2026, 1, 1, tzinfo=UTC),
        session_id="s1",
        source=SECRET,
        agent_name="Front desk",
        duration=61.5,
    )
    assert "source='<hidden>'" not in repr(session)
    assert "source=<hidden>, target=None" in repr(session)
    assert str(session) == "2026-01-01T00:00:00+00:00 session s1, Front desk, 61.5 s"
    assert SECRET not in repr(session)


def test_an_enum_keeps_an_unknown_string_and_refuses_anything_else() -> None:
    assert OrderByDirection("sideways").value == "sideways"
    number: Any = 3
    with pytest.raises(ValueError, match="3 is not a valid OrderByDirection"):
        OrderByDirection(number)


@pytest.mark.parametrize("has_converter", [False, True])
def test_readers_of_classes_that_are_made_without_end_are_not_all_kept(
    monkeypatch: pytest.MonkeyPatch, has_converter: bool
) -> None:
    names = decode.__globals__
    monkeypatch.setitem(names, "_READERS", 4)
    converter: Any = make_converter() if has_converter else None
    readers: dict[Any, Any] = converter.readers if has_converter else names["_native_readers"]
    for number in range(12):
        cls: Any = attrs.make_class(f"Made{number}", {"x": attrs.field(type=int)})
        assert decode(b'{"x": 1}', cls, converter) == cls(1)
        assert 0 < len(readers) <= 4
