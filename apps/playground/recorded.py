"""A recorded call as a case: its messages, tools, parameters and model, out of the shapes that clients send. Pure.

What is understood becomes messages of OpenAI's shape; whatever else was sent becomes text, so that nothing is hidden.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from apps.playground.case import Case
from apps.prompts.content import Content, Message
from apps.telemetry import conversation

Json = Any
ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "function": "tool",
    "bot": "assistant",
    "system": "system",
    "developer": "developer",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
}
PARAMETERS = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "max_tokens": "max_tokens",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "stop_sequences": "stop",
    "seed": "seed",
}
"""OpenTelemetry's `gen_ai.request.…`, and what OpenAI calls them."""
HOLDERS = ("parameters", "llm.invocation_parameters", "model_parameters", "langfuse.observation.model.parameters")
"""Attributes that hold all parameters in one object, or its JSON."""
TOOL_HOLDERS = ("tools", "gen_ai.tool.definitions", "llm.request.functions", "llm.tools")
NOT_PARAMETERS = frozenset(
    {"model", "messages", "input", "stream", "stream_options", "tools", "response_format", "user", "extra_headers"}
)
TOO_MANY = 200


@dataclass(frozen=True, slots=True)
class Recorded:
    """What was recorded of a call. `model` is empty when it was not said."""

    case: Case
    model: str
    provider: str


def read(
    *, input_: Json, attributes: Mapping[str, Json], request_model: str, response_model: str, provider: str
) -> Recorded:
    """The call as a case that can be run again. Its texts are literal: braces in them were never templates."""
    said = [_plain(one) for one in _messages(input_)][:TOO_MANY]
    request = input_ if isinstance(input_, Mapping) else {}
    parameters = _parameters(attributes, request)
    schema = _schema(attributes, request, parameters)
    content = Content(
        messages=tuple(message for message, _more in said) or (Message("user", ""),),
        parameters=parameters,
        tools=tuple(_tools(attributes, request)),
        response_schema=schema,
    )
    case = Case(content=content, more=tuple(more for _message, more in said), is_literal=True)
    return Recorded(case, request_model or response_model, provider)


# --- Messages -------------------------------------------------------------------------------------------------------


def _messages(value: Json) -> Iterator[dict[str, Json]]:
    """Messages in OpenAI's shape."""
    value = _loaded(value)
    if value is None or value == "":
        return
    if isinstance(value, str):
        yield {"role": "user", "content": value}
    elif isinstance(value, list) and value and all(_is_message(one) for one in value):
        for one in value:
            yield from _opened(one)
    elif isinstance(value, Mapping):
        yield from _of_request(value)
    else:
        yield {"role": "user", "content": json.dumps(value, ensure_ascii=False, indent=2)}


def _of_request(value: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    for name in ("system", "instructions", "system_instruction"):
        if value.get(name):
            yield {"role": "system", "content": _text_of(value[name])}
    for name in ("messages", "input", "contents"):
        inner = value.get(name)
        if isinstance(inner, list) and inner and all(_is_message(one) for one in inner):
            yield from _messages(inner)
            return
        if isinstance(inner, str) and inner:
            yield {"role": "user", "content": inner}
            return
    if _is_message(value):
        yield from _opened(value)
    elif isinstance(value.get("prompt"), str):
        yield {"role": "user", "content": value["prompt"]}
    else:
        yield {"role": "user", "content": json.dumps(value, ensure_ascii=False, indent=2)}


def _is_message(value: Json) -> bool:
    if not isinstance(value, Mapping):
        return False
    if isinstance(value.get("role"), str):
        return any(name in value for name in ("content", "parts", "tool_calls", "function_call"))
    return isinstance(value.get("type"), str) and ("content" in value or isinstance(value.get("data"), Mapping))


def _opened(value: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """One recorded message as one or more of OpenAI's: results of tools stand apart there."""
    if "role" not in value:
        inner = value["data"] if isinstance(value.get("data"), Mapping) else value
        value = {**inner, "role": str(value["type"]).removesuffix("MessageChunk").removesuffix("Message").lower()}
    role = ROLES.get(str(value["role"]).lower(), "user")
    content = value.get("content") if value.get("content") is not None else value.get("parts")
    kept: dict[str, Json] = {
        name: value[name] for name in ("name", "tool_call_id") if isinstance(value.get(name), str) and value[name]
    }
    calls = [_call(one) for one in value.get("tool_calls") or () if isinstance(one, Mapping)]
    if not isinstance(content, list):
        text = _text_of(content) if content is not None else ""
        yield _message(role, text, calls, kept)
        return
    parts, results = [], []
    for part in content:
        kind = str(part.get("type") or "").replace("-", "_") if isinstance(part, Mapping) else ""
        if kind in {"tool_use", "tool_call"}:
            calls.append(_call(part))
        elif kind in {"tool_result", "tool_call_response"}:
            results.append(_result(part))
        else:
            parts.append(part)
    if parts or calls or not results:
        yield _message(role, _joined(parts), calls, kept)
    yield from results


def _message(role: str, content: Json, calls: list[dict[str, Json]], kept: Mapping[str, Json]) -> dict[str, Json]:
    told: dict[str, Json] = {"role": role, "content": content, **kept}
    return {**told, "tool_calls": calls} if calls else told


def _joined(parts: list[Json]) -> Json:
    """Parts that are all text as one text; else the parts, as they are."""
    texts = [_part_text(part) for part in parts]
    if all(text is not None for text in texts):
        return "\n".join(text for text in texts if text)
    return parts


def _part_text(part: Json) -> str | None:
    if isinstance(part, str):
        return part
    if isinstance(part, Mapping) and str(part.get("type") or "text") in {"text", "input_text", "output_text"}:
        found = part.get("text", part.get("content"))
        return found if isinstance(found, str) else None
    return None


def _call(call: Mapping[str, Json]) -> dict[str, Json]:
    inner = call.get("function") if isinstance(call.get("function"), Mapping) else call
    assert isinstance(inner, Mapping)
    given = next((inner[name] for name in ("arguments", "input", "args") if name in inner), None)
    arguments = given if isinstance(given, str) else json.dumps({} if given is None else given, ensure_ascii=False)
    return {
        "id": str(call.get("id") or call.get("toolCallId") or "call_0"),
        "type": "function",
        "function": {"name": str(inner.get("name") or inner.get("toolName") or "tool"), "arguments": arguments},
    }


def _result(part: Mapping[str, Json]) -> dict[str, Json]:
    inner = next((part[name] for name in ("content", "response", "result", "output") if name in part), "")
    call_id = str(part.get("tool_use_id") or part.get("id") or part.get("toolCallId") or "call_0")
    return {"role": "tool", "content": _text_of(inner), "tool_call_id": call_id}


def _text_of(value: Json) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value:
        joined = _joined(value)
        if isinstance(joined, str):
            return joined
    if isinstance(value, Mapping) and isinstance(value.get("parts"), list):
        return _text_of(value["parts"])
    return json.dumps(value, ensure_ascii=False, indent=2)


def _plain(message: Mapping[str, Json]) -> tuple[Message, dict[str, Json]]:
    """The message as text, and what it has beyond."""
    more = {name: value for name, value in message.items() if name in {"tool_calls", "tool_call_id"}}
    content = message["content"]
    if not isinstance(content, str):
        more["content"] = content
        shown = conversation.read([message], None, kind="llm")
        content = "\n".join(part.text for one in shown.messages for part in one.parts)
    return Message(message["role"], content, str(message.get("name") or "")), more


# --- What goes with them --------------------------------------------------------------------------------------------


def _loaded(value: Json) -> Json:
    """JSON that was sent as text, opened; anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in {"{", "["}:
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _parameters(attributes: Mapping[str, Json], request: Mapping[str, Json]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, ours in PARAMETERS.items():
        value = attributes.get(f"gen_ai.request.{name}")
        if value is not None:
            found[ours] = value
        if request.get(ours) is not None and "messages" in request:
            found[ours] = request[ours]
    for holder in HOLDERS:
        held = _loaded(attributes.get(holder))
        if isinstance(held, Mapping):
            found |= {name: value for name, value in held.items() if value is not None and name not in NOT_PARAMETERS}
    return found


def _schema(
    attributes: Mapping[str, Json], request: Mapping[str, Json], parameters: Mapping[str, Json]
) -> Mapping[str, Json] | None:
    held = [_loaded(attributes.get(holder)) for holder in HOLDERS]
    formats = [
        request.get("response_format"),
        *(one.get("response_format") for one in held if isinstance(one, Mapping)),
    ]
    for found in (_loaded(attributes.get("response_schema")), *formats):
        if not isinstance(found, Mapping):
            continue
        inner = found.get("json_schema")
        schema = inner.get("schema") if isinstance(inner, Mapping) else None if "type" not in found else found
        if isinstance(schema, Mapping) and schema.get("type") not in {"text", "json_object", "json_schema"}:
            return schema
    return None


def _tools(attributes: Mapping[str, Json], request: Mapping[str, Json]) -> Iterator[Mapping[str, Json]]:
    holders: Iterable[Json] = (request.get("tools"), *(_loaded(attributes.get(name)) for name in TOOL_HOLDERS))
    for held in holders:
        if isinstance(held, list) and held:
            for one in held[:128]:
                tool = _tool(_loaded(one))
                if tool is not None:
                    yield tool
            return
    for holder in HOLDERS:
        parameters = _loaded(attributes.get(holder))
        if isinstance(parameters, Mapping) and isinstance(parameters.get("tools"), list):
            yield from _tools({}, {"tools": parameters["tools"]})
            return


def _tool(value: Json) -> Mapping[str, Json] | None:
    """A tool in OpenAI's shape; None for what is none."""
    if not isinstance(value, Mapping):
        return None
    function = value.get("function") if isinstance(value.get("function"), Mapping) else value
    assert isinstance(function, Mapping)
    if not function.get("name"):
        return None
    schema: Json = next((function[name] for name in ("parameters", "input_schema", "schema") if name in function), {})
    described = {"description": str(function["description"])} if function.get("description") else {}
    return {"type": "function", "function": {"name": str(function["name"]), **described, "parameters": schema}}
