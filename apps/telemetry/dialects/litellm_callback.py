"""LiteLLM's generic callback: JSON objects of one call each (`StandardLoggingPayload`). Pure.

Names: `litellm.types.utils.StandardLoggingPayload`. The body is a list of them, or one alone.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import msgspec

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects import ids, metadata, usage
from apps.telemetry.dialects.litellm import kind_of_call, without_prefix
from apps.telemetry.reading import Reading
from apps.telemetry.wire import Refused

SCOPE = "litellm-callback"
DROPPED = frozenset(
    {"messages", "response", "model_map_information", "metadata", "hidden_params", "error_information", "error_str"}
)
"""Read, or a copy of LiteLLM's own price list; not kept among the attributes."""
KEPT_METADATA = ("user_api_key_alias", "user_api_key_team_alias", "user_api_key_user_id", "user_api_key_org_alias")


def read_body(data: Any) -> list[Reading | Refused]:
    """A reading of each call in the body, in order; in place of one that cannot be read, the reason. Never raises."""
    calls = data if isinstance(data, list) else [data]
    return [_read(call) for call in calls]


def _read(call: Any) -> Reading | Refused:
    if not isinstance(call, dict):
        return Refused("not_an_object", "A call of LiteLLM's callback is a JSON object.")
    call_id = to.text(call.get("litellm_call_id")) or to.text(call.get("id"))
    if call_id is None:
        return Refused("missing_litellm_call_id", "A call of LiteLLM's callback has a litellm_call_id.")
    started_at = _moment(call.get("startTime"))
    if started_at is None:
        return Refused("invalid_startTime", "startTime is the call's start in seconds since 1970.")
    own = to.mapping(call.get("metadata")) or {}
    requester = to.mapping(own.get("requester_metadata")) or {}
    said = {**metadata.fields(own.get("spend_logs_metadata")), **metadata.fields(own), **metadata.fields(requester)}
    failed = call.get("status") == "failure"
    found = {
        **_identity(call, call_id, requester),
        **_usage(call, own),
        **_answer(call, call_id, failed),
        **(_error(call) if failed else {}),
    }
    reading = Reading(
        span_id=ids.span_id(call_id),
        name=to.text(call.get("call_type")) or "litellm",
        started_at=started_at,
        ended_at=_moment(call.get("endTime")),
        digest=_digest(call),
        kind=kind_of_call(call.get("call_type")) or "chain",
        status="error" if failed else "ok",
        call_id=call_id,
        scope=SCOPE,
        feature=said.get("feature"),
        environment=said.get("environment"),
        prompt_name=said.get("prompt_name"),
        prompt_version=said.get("prompt_version"),
        user_id=_user(call, own) or said.get("user_id"),
        input=to.content(call.get("messages")),
        streamed=bool(to.flag(call.get("stream"))) if "stream" in call else None,
        ttft_ms=_ttft(call),
        tags=_tags(call),
        attributes=_attributes(call, own, requester),
        **found,
    )
    if reading.session_id is None:
        reading.session_id = said.get("session_id")
    return reading


def _identity(call: dict[str, Any], call_id: str, requester: dict[str, Any]) -> dict[str, Any]:
    """The trace, the session and the models. LiteLLM's `trace_id` is the session's name where it was given one."""
    group = to.text(call.get("trace_id"))
    session = to.text(call.get("session_id"))
    of_caller = to.text(requester.get("trace_id"))
    if of_caller is not None and ids.is_trace_id(of_caller):
        trace = of_caller
    elif group is not None and ids.is_trace_id(group) and group != session:
        trace = group
    else:
        trace = call_id
    if session is None and group is not None and not ids.is_trace_id(group):
        session = group
    provider = to.text(call.get("custom_llm_provider"))
    asked = to.text(call.get("model_group")) or to.text(call.get("model"))
    return {
        "trace_id": ids.trace_id(trace),
        "session_id": session,
        "provider": to.provider(provider),
        "request_model": without_prefix(asked, provider),
    }


def _usage(call: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Tokens and cost; all zero means that nobody counted them."""
    found = usage.fields(to.pick(call, "response", "usage")) or usage.fields(own.get("usage_object"))
    if not found:
        found = usage.fields({name: call.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")})
    cost = to.money(call.get("response_cost"))
    return {**found, "cost_usd": cost} if cost is not None and (cost or found) else found


def _answer(call: dict[str, Any], call_id: str, failed: bool) -> dict[str, Any]:
    response = call.get("response")
    if not isinstance(response, dict):
        return {"output": to.content(response)} if response and not failed else {}
    choices = response.get("choices")
    choices = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    messages = [one["message"] for one in choices if isinstance(one.get("message"), dict)]
    reason = choices[0].get("finish_reason") if choices else response.get("status") or response.get("stop_reason")
    said = to.text(response.get("id")) or to.text(call.get("id"))
    return {
        "output": None if failed else messages or to.structured(response.get("output") or response.get("content")),
        "finish_reason": to.finish(reason) if not failed else None,
        "response_model": to.text(response.get("model")) if not failed else None,
        "response_id": said if not failed and said != call_id else None,
    }


def _error(call: dict[str, Any]) -> dict[str, Any]:
    said = to.mapping(call.get("error_information")) or {}
    message = to.text(said.get("error_message")) or to.text(call.get("error_str"))
    return {"error_type": to.text(said.get("error_class")) or to.error_type(message), "error_message": message}


def _user(call: dict[str, Any], own: dict[str, Any]) -> str | None:
    for said in (call.get("end_user"), own.get("user_api_key_end_user_id"), to.pick(call, "model_parameters", "user")):
        if to.text(said):
            return to.text(said)
    return None


def _ttft(call: dict[str, Any]) -> float | None:
    """Milliseconds to the first chunk; calls that are not streamed say their end there."""
    first, start = to.number(call.get("completionStartTime")), to.number(call.get("startTime"))
    if not call.get("stream") or first is None or start is None or first < start:
        return None
    return (first - start) * 1000


def _tags(call: dict[str, Any]) -> list[str] | None:
    tags = to.texts(call.get("request_tags")) or []
    return [tag for tag in tags if not tag.startswith("User-Agent:")] or None


def _attributes(call: dict[str, Any], own: dict[str, Any], requester: dict[str, Any]) -> dict[str, Any]:
    """What the call says beside: all that is not empty and was not read as content."""
    kept = {name: value for name, value in call.items() if name not in DROPPED and value not in (None, "", [], {})}
    for name in KEPT_METADATA:
        if own.get(name):
            kept[f"metadata.{name}"] = own[name]
    kept.update({f"metadata.{name}": value for name, value in requester.items() if name != "headers"})
    information = to.mapping(call.get("error_information")) or {}
    kept.update({name: information[name] for name in ("error_code", "llm_provider") if information.get(name)})
    return kept


def _moment(value: Any) -> datetime | None:
    """A time in seconds since 1970, or an ISO text."""
    seconds = to.number(value)
    try:
        if seconds is not None:
            return datetime.fromtimestamp(seconds, UTC)
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except (ValueError, OverflowError, OSError):
        return None
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


def _digest(call: dict[str, Any]) -> bytes:
    try:
        raw = msgspec.json.encode(call, order="sorted")
    except (TypeError, ValueError, RecursionError, msgspec.MsgspecError):
        raw = repr(sorted(map(repr, call))).encode("utf-8", "replace")
    return hashlib.blake2b(raw, digest_size=16).digest()
