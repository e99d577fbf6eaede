"""An OpenAPI document of the sessions operations, built of nothing but the models in the vendor's package."""

from __future__ import annotations

import re
from typing import Any

from pydantic import TypeAdapter
from syllable_sdk import errors, models

ROOT = "/api/v1/sessions"
LABELS = "/api/v1/session_labels"
DEBUG = "/api/v1/session_debug"
REPLIES: dict[tuple[str, str], type[Any]] = {
    ("get", f"{ROOT}/"): models.ListResponseSession,
    ("get", f"{ROOT}/{{session_id}}"): models.Session,
    ("get", f"{ROOT}/full-summary/{{session_id}}"): models.SessionSummaryResponse,
    ("get", f"{ROOT}/transcript/{{session_id}}"): models.SessionTranscriptionResponse,
    ("get", f"{ROOT}/latency/{{session_id}}"): models.InspectLatencyResponse,
    ("get", f"{ROOT}/timeline/{{session_id}}"): models.SessionTimelineResponse,
    ("post", f"{ROOT}/recording/{{session_id}}"): models.SessionRecordingResponse,
    ("get", f"{LABELS}/{{session_label_id}}"): models.SessionLabel,
    ("post", f"{LABELS}/"): models.SessionLabel,
    ("get", f"{LABELS}/"): models.ListResponseSessionLabel,
    ("get", f"{DEBUG}/sid/{{channel_manager_service}}/{{channel_manager_sid}}"): models.SessionData,
    ("get", f"{DEBUG}/session_id/{{session_id}}"): models.SessionData,
    ("get", f"{DEBUG}/tool_result/{{session_id}}/{{tool_call_id}}"): models.ToolResultData,
}
QUERIES = {f"{ROOT}/": models.SessionsListRequest, f"{LABELS}/": models.SessionLabelsListRequest}
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
        parameters = _segments(path) if "{" in path or method == "post" else _query(path, components)
        operation = _operation(parameters, "application/json", _hoisted(model, components), components)
        if path == f"{LABELS}/" and method == "post":
            schema = _hoisted(models.SessionLabelCreate, components)
            operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        paths.setdefault(path, {})[method] = operation
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


def _segments(path: str) -> list[Schema]:
    """What stands in a path; ids are numbers but for sessions."""
    numbers: set[str] = set() if path.startswith(f"{ROOT}/") else {"session_id", "session_label_id"}
    names = re.findall(r"{(\w+)}", path)
    return [_parameter(name, "path", {"type": "integer" if name in numbers else "string"}) for name in names]


def _query(path: str, components: dict[str, Schema]) -> list[Schema]:
    schema = _hoisted(QUERIES[path], components)
    return [
        _parameter(name, "query", {key: value for key, value in part.items() if key != "default"})
        for name, part in schema["properties"].items()
    ]
