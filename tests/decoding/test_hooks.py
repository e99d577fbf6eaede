# pyright: reportUnknownLambdaType=false
"""Hooks of the user's are called wherever plain cattrs calls them: random hooks, random types, and cattrs the judge."""

from __future__ import annotations

import dataclasses
import enum
import json
import traceback
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any, Generic, Literal, NewType, Optional, Protocol, TypedDict, TypeVar
from uuid import UUID

import attrs
import msgspec
import pytest
from cattrs.preconf.msgspec import make_converter as plain_converter
from hypothesis import given, settings
from hypothesis import strategies as st

from syllable_async import AsyncSyllableClient, ResponseValidationError, Session, decode, make_converter

AT = "2026-01-05T00:00:00Z"


@attrs.frozen
class Inner:
    name: str
    when: datetime
    maybe: int | None = None


@attrs.frozen
class Outer:
    inner: Inner
    many: tuple[Inner, ...]
    maybe: Inner | None = None
    number: float = 0.0


class Child(Inner):
    pass


@dataclasses.dataclass
class Data:
    inner: Inner
    flag: Optional[bool] = None  # noqa: UP045 - the other spelling


class Typed(TypedDict):
    when: datetime
    inner: Inner


class Struct(msgspec.Struct):
    when: datetime
    maybe: int | None = None


Name = NewType("Name", str)
Names = NewType("Names", list[Name])
T = TypeVar("T")


@attrs.frozen
class Named:
    name: Name


@attrs.frozen
class Box(Generic[T]):
    value: T


attrs.resolve_types(Box)  # cattrs 25 cannot, where its parameter is named


def upper(text: object) -> str:
    return str(text).upper()


@attrs.frozen
class Loud:
    name: str = attrs.field(converter=upper)
    inner: Inner | None = None


@attrs.frozen
class Tallied:
    name: str
    count: int = attrs.field(init=False, default=3)


@dataclasses.dataclass
class TalliedData:
    inner: Inner
    count: int = dataclasses.field(init=False, default=3)


@attrs.frozen
class Derived:
    name: str
    title: str = attrs.field(default=attrs.Factory(lambda self: f"{self.name}!", takes_self=True))


@attrs.define
class Tenfold:
    number: int

    def __init__(self, number: int) -> None:
        self.number = number * 10


class TenfoldChild(Tenfold):
    pass


@dataclasses.dataclass
class TenfoldData:
    number: int

    def __init__(self, number: int) -> None:
        self.number = number * 10


class Mixed(enum.Enum):
    TEXT = "text"
    NUMBER = 2


INNER = {"name": "a", "when": AT, "maybe": 5}
OF_CATTRS: dict[Any, Any] = {
    Loud: {"name": "a", "inner": INNER},
    list[Loud | None]: [{"name": "a"}, None],
    Tallied: {"name": "a", "count": 9},
    TalliedData: {"inner": INNER, "count": 9},
    Derived: {"name": "a"},
    Tenfold: {"number": 1},
    list[TenfoldChild]: [{"number": 1}],
    TenfoldData: {"number": 1},
    Data | Named: {"inner": INNER},
    list[Data | Named | None]: [{"inner": INNER}, {"name": "a"}, None],
    Mixed: "text",
    list[Mixed]: ["text", 2],
    deque[Inner]: [INNER],
    Counter[str]: {"a": 2},
    OrderedDict[str, Inner]: {"b": INNER, "a": INNER},
    Path: "/a/b",
}
"""What msgspec alone does not read, or reads otherwise."""
TYPES: dict[Any, Any] = {
    Inner: INNER,
    Child: INNER,
    Outer: {"inner": INNER, "many": [INNER, INNER], "maybe": None, "number": 1.5},
    Data: {"inner": INNER, "flag": True},
    Typed: {"when": AT, "inner": INNER},
    list[Data]: [{"inner": INNER}],
    dict[str, Inner]: {"x": INNER},
    tuple[Inner, ...]: [INNER],
    Inner | None: INNER,
    list[int | None]: [1, None],
    Named: {"name": "a"},
    Box[Name]: {"value": "a"},
    list[Name | None]: ["a", None],
    Names: ["a"],
    Annotated[Named, "a remark"]: {"name": "a"},
    **OF_CATTRS,
}
HOOKED: list[Any] = [
    *(str, int, float, bool, datetime, Inner, Child, Outer, Data, Name, Named),
    *(int | None, Optional[int], Inner | None, Optional[bool]),  # noqa: UP045 - both spellings
]
Register = Callable[[Any, Any, Any], Any]


def mark(name: str) -> Callable[[Any, Any], Any]:
    def hook(value: Any, _: Any = None) -> Any:
        return name, json.dumps(value, default=str)

    return hook


WAYS: dict[str, Register] = {
    "hook": lambda converter, cls, hook: converter.register_structure_hook(cls, hook),
    "func": lambda converter, cls, hook: converter.register_structure_hook_func(lambda part: part == cls, hook),
    "func that asks classes alone": lambda converter, cls, hook: converter.register_structure_hook_func(
        lambda part: issubclass(part, cls), hook
    ),
    "factory": lambda converter, cls, hook: converter.register_structure_hook_factory(
        lambda part: part == cls,
        lambda _: hook,
    ),
    "factory that takes the converter": lambda converter, cls, hook: converter.register_structure_hook_factory(
        lambda part: part == cls,
        lambda _, converter: hook,
    ),
}
CHOICES = st.lists(
    st.tuples(st.sampled_from(sorted(WAYS)), st.sampled_from(HOOKED)), max_size=3, unique_by=lambda pair: pair[1]
)


def judge(cls: Any, choices: list[tuple[str, Any]], *, decode_first: bool, copied: bool) -> None:
    ours, plain = make_converter(), plain_converter()
    body = json.dumps(TYPES[cls]).encode()
    if decode_first:
        decode(body, cls, ours)
    for number, (way, hooked) in enumerate(choices):
        for converter in (ours, plain):
            WAYS[way](converter, hooked, mark(f"{number}"))
    if copied:
        ours = ours.copy()
    assert decode(body, cls, ours) == plain.structure(TYPES[cls], cls)


@pytest.mark.parametrize("examples", [60, pytest.param(5000, marks=pytest.mark.long)])
def test_random_hooks_on_random_types_are_called_as_plain_cattrs_calls_them(examples: int) -> None:
    @settings(max_examples=examples)
    @given(st.sampled_from(list(TYPES)), CHOICES, st.booleans(), st.booleans())
    def each(cls: Any, choices: list[tuple[str, Any]], decode_first: bool, copied: bool) -> None:
        judge(cls, choices, decode_first=decode_first, copied=copied)

    each()


@pytest.mark.parametrize("cls", OF_CATTRS)
@pytest.mark.parametrize("decode_first", [False, True])
@pytest.mark.parametrize("copied", [False, True])
def test_what_msgspec_does_not_read_as_cattrs_does_is_cattrs_to_read(
    cls: Any, decode_first: bool, copied: bool
) -> None:
    judge(cls, [], decode_first=decode_first, copied=copied)
    naive = (TypeError, NotImplementedError, AssertionError, ResponseValidationError)
    with pytest.raises(naive):  # without a converter
        assert decode(json.dumps(OF_CATTRS[cls]).encode(), cls) == plain_converter().structure(OF_CATTRS[cls], cls)


def test_what_neither_reads_is_refused_before_any_response() -> None:
    converter = make_converter()
    for cls in (list[int] | set[int], dict[str, list[int] | set[int]]):
        kind: Any = cls
        with pytest.raises(TypeError, match="more than one"):
            decode(b"[1]", kind, converter)


KINDS = [ValueError, TypeError, KeyError, AttributeError, RuntimeError, AssertionError, OSError, StopIteration]


def fails(value: Any, kind: type[Exception]) -> Any:
    raise kind(f"{value} - at `$.{value}`")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("has_converter", [False, True])
def test_an_error_of_a_users_class_is_told_by_its_name_alone(kind: type[Exception], has_converter: bool) -> None:
    @attrs.frozen
    class Checked:
        name: str = attrs.field(validator=lambda _self, _field, value: fails(value, kind))

    @attrs.frozen
    class Made:
        name: str

        def __attrs_post_init__(self) -> None:
            fails(self.name, kind)

    @dataclasses.dataclass
    class MadeData:
        name: str

        def __post_init__(self) -> None:
            fails(self.name, kind)

    class MadeStruct(msgspec.Struct):
        name: str

        def __post_init__(self) -> None:
            fails(self.name, kind)

    for cls in (Checked, Made, MadeData, MadeStruct):
        pairs: list[tuple[Any, Any]] = [(cls, {"name": "SECRET"}), (GenericAlias(list, cls), [{"name": "SECRET"}])]
        for asked, value in pairs:
            with pytest.raises(ResponseValidationError, match=kind.__name__) as caught:
                decode(json.dumps(value).encode(), asked, make_converter() if has_converter else None)
            assert "SECRET" not in "".join(traceback.format_exception(caught.value))


class FickleError(ValueError):
    """Says something else each time."""

    said = 0

    def __str__(self) -> str:
        FickleError.said += 1
        return f"SECRET {FickleError.said}"


@pytest.mark.parametrize("has_converter", [False, True])
def test_words_that_change_are_not_told(has_converter: bool) -> None:
    @attrs.frozen
    class Made:
        name: str

        def __attrs_post_init__(self) -> None:
            raise FickleError

    for asked, value in ((Made, {"name": "a"}), (GenericAlias(list, Made), [{"name": "a"}])):
        cls: Any = asked
        with pytest.raises(ResponseValidationError, match="FickleError") as caught:
            decode(json.dumps(value).encode(), cls, make_converter() if has_converter else None)
        assert "SECRET" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hooked", [str, Named])
@pytest.mark.parametrize("cls", [Named, list[Named]])
def test_an_error_of_a_hook_is_told_by_its_name_alone(kind: type[Exception], hooked: Any, cls: Any) -> None:
    converter = make_converter()
    converter.register_structure_hook(hooked, lambda value, _: fails(value, kind))
    named = {"name": "SECRET"}
    with pytest.raises(ResponseValidationError, match=kind.__name__) as caught:
        decode(json.dumps(named if cls is Named else [named]).encode(), cls, converter)
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("cls", [Named, Box[Name], list[Name | None], Names, Annotated[Named, "a remark"]])
@pytest.mark.parametrize("hooked", [str, Name, Named])
@pytest.mark.parametrize("way", ["hook", "func"])
def test_hooks_reach_what_a_new_type_names(cls: Any, hooked: Any, way: str) -> None:
    judge(cls, [(way, hooked)], decode_first=True, copied=False)


class Speaks(Protocol):
    def speak(self) -> None: ...


@pytest.mark.parametrize("hooked", [Typed, Speaks])
def test_a_hook_of_what_has_no_subclasses_concerns_no_other_type(hooked: Any) -> None:
    converter = make_converter()
    converter.register_structure_hook(hooked, mark("hooked"))
    for cls, value in TYPES.items():
        body = json.dumps(value).encode()
        expected = mark("hooked")(value, None) if cls is hooked else decode(body, cls, make_converter())
        assert decode(body, cls, converter) == expected
    if hooked is Typed:
        assert decode(json.dumps([TYPES[Typed]]).encode(), list[Typed], converter) == [
            mark("hooked")(TYPES[Typed], None)
        ]


def test_a_converter_that_forgets_unions_would_be_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The naive version: cattrs' own registry for unions, which our factory for optionals hides."""
    from cattrs.preconf.msgspec import MsgspecJsonConverter

    from syllable_async._decoding.converter import HookAwareConverter

    monkeypatch.setattr(HookAwareConverter, "register_structure_hook", MsgspecJsonConverter.register_structure_hook)
    with pytest.raises(AssertionError):
        judge(Inner, [("hook", int | None)], decode_first=False, copied=False)


@pytest.mark.parametrize("choices", [[int], [bool, int], [int, bool], [bool, int, int]])
def test_a_bool_is_an_int_for_cattrs(choices: list[Any]) -> None:
    judge(Data, [("hook", cls) for cls in choices], decode_first=False, copied=False)


@pytest.mark.parametrize("cls", [*TYPES, Session])
def test_a_predicate_that_fails_accepts_nothing_as_in_cattrs(cls: Any) -> None:
    if cls is not Session:
        judge(cls, [("func that asks classes alone", Inner)], decode_first=True, copied=True)
    converter = make_converter()
    converter.register_structure_hook_func(lambda part: part.__origin__ is list, mark("hooked"))
    body = json.dumps(TYPES.get(cls, {"timestamp": AT})).encode()
    decode(body, cls, converter)


def test_hooks_reach_into_structs() -> None:
    converter = make_converter()
    converter.register_structure_hook(datetime, mark("hooked"))
    body = json.dumps({"when": AT}).encode()
    for owner in (converter, converter.copy()):
        assert decode(body, Struct, owner).when == ("hooked", f'"{AT}"')


@pytest.mark.parametrize("body", [b"5", b"{}"], ids=["no object", "no field"])
def test_a_struct_that_a_hook_touches_is_refused_as_msgspec_does_it(body: bytes) -> None:
    hooked = make_converter()
    hooked.register_structure_hook(datetime, mark("hooked"))
    said = list[str]()
    for owner in (hooked, make_converter()):
        with pytest.raises(ResponseValidationError) as caught:
            decode(body, Struct, owner)
        said.append(caught.value.problem)
    assert said[0] == said[1]


@dataclasses.dataclass
class Leaves:
    key: UUID
    price: Decimal
    day: date
    at: time
    took: timedelta
    data: bytes
    names: list[str]


LEAVES: dict[str, Any] = {
    "key": "6f1c1f0e-6d0c-4f3e-9a39-6d1d3a1f2b11",
    "price": "1.50",
    "day": "2026-01-05",
    "at": "10:00:00",
    "took": "PT5S",
    "data": "YWJj",
    "names": ["a", "b"],
}


@pytest.mark.parametrize("wrong", ["", *LEAVES])
def test_a_hook_on_str_changes_nothing_of_how_other_types_are_read_and_refused(wrong: str) -> None:
    hooked = make_converter()
    hooked.register_structure_hook(str, lambda value, _: value)
    body = json.dumps({**LEAVES, wrong: "abc"} if wrong else LEAVES).encode()
    read = list[Any]()
    for owner in (hooked, make_converter()):
        try:
            read.append(decode(body, Leaves, owner))
        except ResponseValidationError as error:
            read.append((error.problem, error.path))
    assert read[0] == read[1]
    assert isinstance(read[0], tuple if wrong else Leaves)


NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_a_hook_for_every_struct_is_the_copys_too() -> None:
    original = make_converter()
    original.register_structure_hook(msgspec.Struct, lambda _value, cls: cls(when=NOON))
    copy = original.copy()
    assert decode(b"5", Struct, copy) == decode(b"5", Struct, original) == Struct(when=NOON)
    assert copy.get_loads_hook(Struct) is copy.get_loads_hook(Struct)


def test_a_hook_on_a_copy_reaches_into_structs_and_leaves_the_original() -> None:
    original = make_converter()
    copy = original.copy()
    copy.register_structure_hook(datetime, mark("hooked"))
    body = json.dumps({"when": AT}).encode()
    assert decode(body, Struct, copy).when == ("hooked", f'"{AT}"')
    assert decode(body, Struct, original).when == datetime(2026, 1, 5, tzinfo=UTC)


def test_options_of_a_copy_are_honoured() -> None:
    strict = make_converter().copy(forbid_extra_keys=True)
    with pytest.raises(Exception, match="ForbiddenExtraKeysError"):
        decode(json.dumps({"timestamp": AT, "extra": 1}).encode(), Session, strict)


def test_a_client_owns_a_converter_and_shows_it() -> None:
    client = AsyncSyllableClient("key")
    assert client.converter is not AsyncSyllableClient("key").converter
    assert client.with_options(timeout=3).converter is client.converter
    mine = make_converter().copy()
    assert AsyncSyllableClient("key", converter=mine).converter is mine
    with pytest.raises(TypeError, match="make_converter"):
        AsyncSyllableClient("key", converter=plain_converter())


class Grade(enum.IntEnum):
    GOOD = 1


@attrs.frozen
class Graded:
    grade: Grade


@attrs.frozen
class Chosen:
    choice: Literal[1, 2]


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    count: int = 0


class First(msgspec.Struct, tag=1):
    pass


class Second(msgspec.Struct, tag=2):
    pass


@attrs.frozen
class Counted:
    by_number: dict[str, int]


def as_number(value: Any, _: Any) -> int:
    return int(value)


def refused(cls: Any, body: bytes, converter: Any) -> str:
    """The path of a response that does not fit; nothing of the error names a value."""
    with pytest.raises(ResponseValidationError) as caught:
        decode(body, cls, converter)
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + caught.value.path
    assert "5550100" not in shown
    assert caught.value.problem
    return caught.value.path


@pytest.mark.parametrize(
    ("cls", "body", "path"),
    [
        (Graded, b'{"grade":15550100}', "$.grade"),
        (Chosen, b'{"choice":15550100}', "$.choice"),
        (Strict, b'{"15550100":1}', "$"),
        (First | Second, b'{"type":15550100}', "$.type"),
        (Counted, b'{"by_number":{"15550100":"x"}}', "$.by_number[...]"),
    ],
    ids=["enum", "literal", "unknown field", "tag", "key of a dict"],
)
def test_an_error_names_no_value_of_any_type(cls: Any, body: bytes, path: str) -> None:
    assert refused(cls, body, make_converter()) == path


def test_nor_does_one_of_a_hook_name_the_key_of_a_dict() -> None:
    converter = make_converter()
    converter.register_structure_hook(int, lambda value, _: int(value))
    assert refused(Counted, b'{"by_number":{"15550100":"x"}}', converter) == "$.by_number[...]"
