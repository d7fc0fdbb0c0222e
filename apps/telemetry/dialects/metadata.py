"""Keys that callers choose themselves, under whatever namespace a client puts them: who, where, which prompt. Pure."""

from __future__ import annotations

from typing import Any

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Convert

KEYS: dict[str, tuple[str, Convert]] = {
    "user_id": ("user_id", to.text),
    "userId": ("user_id", to.text),
    "userID": ("user_id", to.text),
    "user.id": ("user_id", to.text),
    "end_user": ("user_id", to.text),
    "session_id": ("session_id", to.text),
    "sessionId": ("session_id", to.text),
    "sessionID": ("session_id", to.text),
    "session.id": ("session_id", to.text),
    "conversation_id": ("session_id", to.text),
    "conversationId": ("session_id", to.text),
    "feature": ("feature", to.text),
    "environment": ("environment", to.text),
    "prompt_name": ("prompt_name", to.text),
    "promptName": ("prompt_name", to.text),
    "prompt.name": ("prompt_name", to.text),
    "prompt_version": ("prompt_version", to.text),
    "promptVersion": ("prompt_version", to.text),
    "prompt.version": ("prompt_version", to.text),
    "tags": ("tags", to.texts),
}
"""Which key gives which field, and how its value is read."""


def fields(values: Any) -> dict[str, Any]:
    """The fields that a dictionary of metadata gives (also one sent as JSON or Python text); empty if it is none."""
    given = to.mapping(values)
    if not given:
        return {}
    found: dict[str, Any] = {}
    for key in given.keys() & KEYS.keys():
        field, convert = KEYS[key]
        value = convert(given[key])
        if value is not None:
            found[field] = value
    return found
