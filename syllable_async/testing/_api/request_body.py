"""A label in a request's body, read the way FastAPI and pydantic read it, refusals included."""

from __future__ import annotations

import json
from typing import Any, cast

from .query_params import BadQueryError, QueryReader, UnprocessableError
from .routes import Call

_NOT_AN_OBJECT = "Input should be a valid dictionary or object to extract fields from"
_FRACTION = "Input should be a valid integer, got a number with a fractional part"


def read_label(call: Call) -> dict[str, Any]:
    """The fields of a label to make; raises `UnprocessableError`."""
    reader = QueryReader((), "body")
    fields = _read_object(reader, call)
    found: dict[str, Any] = {"comments": None, "issue_categories": []}
    for name in ("session_id", "type", "code", "user_email"):
        if name not in fields:
            reader.add_error("missing", [name], "Field required", fields)
        else:
            found[name] = (_integer if name == "session_id" else _string)(reader, [name], fields[name])
    if fields.get("comments") is not None:
        found["comments"] = _string(reader, ["comments"], fields["comments"])
    if "issue_categories" in fields:
        found["issue_categories"] = _strings(reader, "issue_categories", fields["issue_categories"])
    if reader.errors:
        raise UnprocessableError(reader.errors)
    return found


def _read_object(reader: QueryReader, call: Call) -> dict[str, Any]:
    if not call.body:
        reader.add_error("missing", [], "Field required", None)
        raise UnprocessableError(reader.errors)
    is_json = (call.content_type or "").partition(";")[0].strip().lower() == "application/json"
    try:
        document: Any = json.loads(call.body) if is_json else call.body.decode(errors="replace")
        json.dumps(document, ensure_ascii=False, allow_nan=False).encode()  # what is wrong is sent back
    except json.JSONDecodeError as refusal:
        reader.add_error("json_invalid", [refusal.pos], "JSON decode error", {}, error=refusal.msg)
        raise UnprocessableError(reader.errors) from None
    except (ValueError, RecursionError):
        raise BadQueryError("There was an error parsing the body") from None
    if not isinstance(document, dict):
        reader.add_error("model_attributes_type", [], _NOT_AN_OBJECT, document)
        raise UnprocessableError(reader.errors)
    return cast("dict[str, Any]", document)


def _integer(reader: QueryReader, loc: list[str | int], value: Any) -> int:
    if isinstance(value, str):
        return reader.parse_integer(value, loc) or 0
    if isinstance(value, float) and not value.is_integer():
        reader.add_error("int_from_float", loc, _FRACTION, value)
    elif not isinstance(value, int | float):
        reader.add_error("int_type", loc, "Input should be a valid integer", value)
    else:
        return int(value)
    return 0


def _string(reader: QueryReader, loc: list[str | int], value: Any) -> str:
    if not isinstance(value, str):
        reader.add_error("string_type", loc, "Input should be a valid string", value)
    return str(value)


def _strings(reader: QueryReader, name: str, value: Any) -> list[str] | None:
    if value is None:
        return None
    if not issubclass(type(value), list):  # isinstance would make its items unknown to pyright
        reader.add_error("list_type", [name], "Input should be a valid list", value)
        return None
    return [_string(reader, [name, number], item) for number, item in enumerate(value)]
