"""What the OpenAPI document says of the live door."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PATH = "/api/v1/prompts/{prompt}/live"

_NAME = {
    "in": "path",
    "name": "prompt",
    "required": True,
    "schema": {"type": "string"},
    "description": "The prompt's name, slashes as they are; a former name is answered with the present one.",
}
_QUERY = [
    ("environment", "Where the caller runs; `production` when left out.", "staging"),
    (
        "subject",
        "Whom the answer is for: the id of a user or a session, as an experiment splits. It chooses the arm.",
        "customer-7",
    ),
    (
        "variables",
        "Values as a JSON object: the answer is rendered. Addresses end up in logs, so POST what is private.",
        None,
    ),
]
_MATCH = {
    "in": "header",
    "name": "If-None-Match",
    "schema": {"type": "string"},
    "description": "The `ETag` of the answer that the caller has.",
}
_HEADERS = {
    "ETag": {"description": "Changes with what is live.", "schema": {"type": "string"}},
    "X-Prodworthy-Stale": {
        "description": "For how many seconds nobody could tell whether this is live still; absent otherwise.",
        "schema": {"type": "integer"},
    },
}
_ANSWER: dict[str, Any] = {
    "type": "object",
    "description": "What an environment answers for a prompt.",
    "properties": {
        "name": {"type": "string"},
        "environment": {"type": "string"},
        "version": {"type": "string", "examples": ["1.2.0"]},
        "kind": {"enum": ["text", "chat"]},
        "syntax": {"enum": ["mustache", "jinja"]},
        "messages": {
            "type": "array",
            "items": {"type": "object", "additionalProperties": True},
            "description": "With every snippet in its place; templates, or rendered when variables were given.",
        },
        "text": {"type": ["string", "null"], "description": "The text of a text prompt."},
        "variables": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        "model": {
            "type": ["string", "null"],
            "description": "The model to call: what was deployed with the version, or else the version's own.",
        },
        "parameters": {"type": "object", "additionalProperties": True},
        "tools": {"type": "array", "items": {"type": "object", "additionalProperties": True}},
        "response_schema": {"type": ["object", "null"], "additionalProperties": True},
        "content_hash": {"type": "string"},
        "since": {"type": "string", "format": "date-time"},
        "arm": {
            "type": ["object", "null"],
            "description": "The arm of an experiment that the subject gets; null for what everybody else gets.",
            "properties": {
                "experiment": {"type": "string"},
                "arm": {"type": "string"},
                "unit": {"enum": ["user", "session"], "description": "What `subject` has to be the id of."},
            },
            "required": ["experiment", "arm", "unit"],
        },
        "is_rendered": {"type": "boolean"},
        "is_stale": {"type": "boolean", "description": "True while nobody can tell whether this is live still."},
    },
}
_ANSWER["required"] = list(_ANSWER["properties"])
_REQUEST = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "environment": {"type": "string", "default": "production"},
        "variables": {"type": "object", "additionalProperties": True},
        "subject": {"type": "string", "maxLength": 256},
    },
}


def operations() -> dict[str, dict[str, Callable[[], dict[str, Any]]]]:
    """The operations by path and method."""
    return {PATH: {"get": _get, "post": _post}}


def schemas() -> dict[str, Any]:
    """The component schemas of the door."""
    return {"LivePrompt": _ANSWER, "LivePromptRequest": _REQUEST}


def _get() -> dict[str, Any]:
    query = [
        {"in": "query", "name": name, "schema": {"type": "string"}, "description": says}
        | ({"example": example} if example else {})
        for name, says, example in _QUERY
    ]
    return {
        "operationId": "prompt_live_read",
        "summary": "What to use now.",
        "description": (
            "From the memory of the process that is asked: a change arrives within five seconds. While the database "
            "does not answer, the last good copy is served and says so (`is_stale`)."
        ),
        "tags": ["prompts"],
        "security": [{"key": ["prompts:read"]}],
        "parameters": [_NAME, *query, _MATCH],
        "responses": {
            "200": {"description": "What is live.", "content": _json("LivePrompt"), "headers": _HEADERS},
            "304": {"description": "The caller has it already.", "headers": _HEADERS},
            **_failures("A parameter is unknown, or a value is missing or does not fit."),
        },
    }


def _post() -> dict[str, Any]:
    return {
        "operationId": "prompt_live_render",
        "summary": "What to use now, with values in their places.",
        "description": "As GET with `variables`, which stay out of addresses and so out of logs.",
        "tags": ["prompts"],
        "security": [{"key": ["prompts:read"]}],
        "parameters": [_NAME],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/LivePromptRequest"},
                    "example": {"environment": "staging", "variables": {"question": "Where is my parcel?"}},
                }
            },
        },
        "responses": {
            "200": {"description": "What is live, rendered.", "content": _json("LivePrompt"), "headers": _HEADERS},
            **_failures("A value is missing or does not fit, or the template cannot be rendered."),
        },
    }


def _failures(unfit: str) -> dict[str, Any]:
    said = {
        "400": "Not a JSON object.",
        "404": "`prompt_not_found`, `environment_not_found` or `not_live`; the message says what there is.",
        "413": "More than 4 MiB.",
        "422": unfit,
        "503": "The database does not answer, and this process has no copy or does not know the key.",
    }
    failures: dict[str, Any] = {
        status: {"description": says, "content": _json("Error")} for status, says in said.items()
    }
    failures["503"]["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return failures


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}
