"""An OpenAPI document of the sessions operations, built of nothing but the models in the vendor's package."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter
from syllable_sdk import errors, models

ROOT = "/api/v1/sessions"
REPLIES: dict[tuple[str, str], type[Any]] = {
    ("get", f"{ROOT}/"): models.ListResponseSession,
    ("get", f"{ROOT}/{{session_id}}"): models.Session,
    ("get", f"{ROOT}/full-summary/{{session_id}}"): models.SessionSummaryResponse,
    ("get", f"{ROOT}/transcript/{{session_id}}"): models.SessionTranscriptionResponse,
    ("get", f"{ROOT}/latency/{{session_id}}"): models.InspectLatencyResponse,
    ("get", f"{ROOT}/timeline/{{session_id}}"): models.SessionTimelineResponse,
    ("post", f"{ROOT}/recording/{{session_id}}"): models.SessionRecordingResponse,
}
STREAM = f"{ROOT}/recording/stream"

Schema = dict[str, Any]
_COMPONENTS = "#/components/schemas/{model}"


def reply_schema(model: Any, ref_template: str = "#/$defs/{model}") -> Schema:
    """The JSON Schema of a reply. A field that the vendor does not know is a mistake of the fake's."""
    schema = TypeAdapter(model).json_schema(ref_template=ref_template)
    definitions = schema.get("$defs", {})
    for part in (schema, *definitions.values()):
        if "properties" in part:
            part["additionalProperties"] = False
    if "Unset" in definitions:
        definitions["Unset"] = {"not": {}}  # the vendor's mark for "not given" never travels
    return schema


def document() -> Schema:
    """The whole document."""
    components: dict[str, Schema] = {}
    paths: dict[str, Schema] = {}
    for (method, path), model in REPLIES.items():
        parameters = [_parameter("session_id", "path", {"type": "string"})] if "{" in path else _query(components)
        paths.setdefault(path, {})[method] = _operation(
            parameters, "application/json", _hoisted(model, components), components
        )
    token = _parameter("token", "query", {"type": "string"})
    binary = {"type": "string", "format": "binary"}
    paths[STREAM] = {"get": _operation([token], "application/octet-stream", binary, components)}
    information = {"title": "sessions", "version": "0"}
    return {"openapi": "3.1.0", "info": information, "paths": paths, "components": {"schemas": components}}


def _hoisted(model: Any, components: dict[str, Schema]) -> Schema:
    """The schema of a model, its definitions moved to where a document has them."""
    schema = reply_schema(model, _COMPONENTS)
    components.update(schema.pop("$defs", {}))
    return schema


def _operation(parameters: list[Schema], content_type: str, schema: Schema, components: dict[str, Schema]) -> Schema:
    refusal = _hoisted(errors.HTTPValidationErrorData, components)
    components["ValidationError"].pop("additionalProperties", None)  # FastAPI sends more than the vendor reads
    return {
        "parameters": parameters,
        "responses": {
            "200": {"description": "", "content": {content_type: {"schema": schema}}},
            "422": {"description": "", "content": {"application/json": {"schema": refusal}}},
        },
    }


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {"name": name, "in": place, "required": place == "path" or name == "token", "schema": schema}


def _query(components: dict[str, Schema]) -> list[Schema]:
    schema = _hoisted(models.SessionsListRequest, components)
    return [
        _parameter(name, "query", {key: value for key, value in part.items() if key != "default"})
        for name, part in schema["properties"].items()
    ]
