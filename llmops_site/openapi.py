"""The OpenAPI document: the JSON API as DRF knows it, the hot doors beside it, and what all operations share.

`manage.py spectacular` writes it to a file; `views` serves and shows it. DRF imports this module early, so nothing here
may import views.
"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema

from apps.projects.access import ProjectApi
from apps.prompts import openapi_live
from apps.telemetry import openapi as telemetry
from apps.telemetry import openapi_doors

HOT_DOORS = {
    "/api/v1/telemetry": {"post": telemetry.operation},
    **openapi_doors.operations(),
    **openapi_live.operations(),
}

ERROR = {
    "type": "object",
    "description": "Every failure has this shape. Programs branch on the code, people read the message.",
    "properties": {
        "error": {
            "type": "object",
            "properties": {
                "code": {"type": "string", "description": "Stable."},
                "message": {"type": "string", "description": "A sentence that says what to change."},
                "details": {"description": "Such as the fields that need a change, each with its sentences."},
            },
            "required": ["code", "message", "details"],
        }
    },
    "required": ["error"],
}
PROJECT = {
    "in": "header",
    "name": "X-Project",
    "schema": {"type": "string"},
    "description": "The project's slug. People who are in several projects need it; a key belongs to one project.",
}
EVERYWHERE = {
    "401": "No usable key was sent and nobody is signed in.",
    "403": "The scope or the role does not allow it.",
}
NOT_FOUND = {"404": "There is nothing here, or it is not shared with the caller."}
UNREADABLE = {"400": "The body is not JSON.", "415": "The body is not said to be JSON."}
INVALID = {"422": "A field needs a change, or the project is not named; details say which."}


class Schema(AutoSchema):
    """Names operations: what reads several things is a list, also where several come in a page with a cursor."""

    def get_operation_id(self) -> str:
        """The name, once in the whole document."""
        name = str(super().get_operation_id())
        return f"{name.removesuffix('retrieve')}list" if name.endswith("retrieve") and self.path[-1] != "}" else name


class KeyOrSessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The two ways in, and per method the scope and the role they need, from what the view declares."""

    target_class = "apps.projects.access.KeyOrSession"
    name = ["key", "session"]

    def get_security_definition(self, auto_schema: AutoSchema) -> list[dict[str, Any]]:
        """How a caller says who they are."""
        return [
            {"type": "http", "scheme": "bearer", "description": "An API key. Basic and x-api-key are understood too."},
            {
                "type": "apiKey",
                "in": "cookie",
                "name": settings.SESSION_COOKIE_NAME,
                "description": "The session of somebody signed in. Changes need the X-CSRFToken header as well.",
            },
        ]

    def get_security_requirement(self, auto_schema: AutoSchema) -> list[dict[str, list[str]]]:
        """What this method of this view asks for."""
        view = auto_schema.view
        assert isinstance(view, ProjectApi)
        scope, role = view.permission.scope_for(auto_schema.method), view.permission.role_for(auto_schema.method)
        return [{name: [needed]} for name, needed in (("key", scope), ("session", role)) if needed]


def complete(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """A drf-spectacular hook: add the hot doors and, to every operation, its needs and its errors."""
    components = result.setdefault("components", {}).setdefault("schemas", {})
    components |= {"Error": ERROR, **telemetry.schemas(), **openapi_doors.schemas(), **openapi_live.schemas()}
    for path, methods in HOT_DOORS.items():
        result["paths"][path] = {method: operation() for method, operation in methods.items()}
    for path, methods in result["paths"].items():
        for operation in methods.values():
            _complete_operation(path, operation)
    result["components"]["schemas"] = dict(sorted(components.items()))
    result["paths"] = dict(sorted(result["paths"].items()))
    return result


def subject_of(path: str) -> str:
    """What the address is about, as the heading it stands under: `eval-runs` of `/api/v1/eval-runs/{run}`."""
    parts = [part for part in path.split("/") if part]
    return parts[2] if parts[:2] == ["api", "v1"] else "otlp"


def _complete_operation(path: str, operation: dict[str, Any]) -> None:
    operation["tags"] = [subject_of(path)]
    # The views let everybody in and decide later, from which drf-spectacular concludes that nothing is needed.
    operation["security"] = [way for way in operation["security"] if way]
    ways = {name: needed for way in operation["security"] for name, needed in way.items()}
    needs = [f"a key with the scope `{scope}`" for scope in ways.get("key", [])]
    needs += [f"a session with the role {role} or above" for role in ways.get("session", [])]
    first, _, rest = operation.get("description", "").partition(". ")
    operation.setdefault("summary", f"{first.rstrip('.')}.")
    promise = operation["description"] if path in HOT_DOORS else rest
    operation["description"] = f"{promise}\n\nNeeds {' or '.join(needs)}.".strip()
    if "session" in ways:
        operation["parameters"] = [*operation.get("parameters", []), PROJECT]
    failures = EVERYWHERE | (NOT_FOUND if "session" in ways else {})
    if path not in HOT_DOORS:
        failures |= UNREADABLE if "requestBody" in operation else {}
        failures |= INVALID if "requestBody" in operation or "parameters" in operation else {}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for status, description in failures.items():
        operation["responses"].setdefault(status, {"description": description, "content": content})
    for status, response in operation["responses"].items():
        response["description"] = response["description"] or ("Made." if status == "201" else "Done.")
    operation["responses"] = dict(sorted(operation["responses"].items()))
