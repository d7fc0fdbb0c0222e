"""Inputs and outputs as a conversation. Pure; shapes of OpenAI, Anthropic, Gemini, LangChain, Vercel and
OpenTelemetry are understood.

Whatever is not a list of messages becomes one message of its own, so that nothing is ever hidden: text as it is, any
other value as indented JSON. Texts longer than `MOST_CHARS` are cut and say so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

MOST_CHARS = 16_000
MOST_MESSAGES = 60

ROLES = {"system", "developer", "user", "assistant", "tool"}
OTHER_NAMES = {"human": "user", "ai": "assistant", "model": "assistant", "function": "tool", "bot": "assistant"}

LANGCHAIN = {"system": "system", "human": "user", "ai": "assistant", "tool": "tool", "function": "tool"}
"""Types of LangChain's messages, and the roles they speak in."""


@dataclass(frozen=True)
class Part:
    """A piece of a message: prose, or something to be read letter by letter (code), with a title if it has one."""

    text: str
    is_code: bool = False
    title: str = ""
    is_cut: bool = False


@dataclass(frozen=True)
class Message:
    """Who says what. `role` is one of ROLES, or what else the client called it; `name` is a tool's or a person's."""

    role: str
    parts: tuple[Part, ...]
    name: str = ""


@dataclass(frozen=True)
class Conversation:
    """The messages in order, and how many were left out of the middle."""

    messages: tuple[Message, ...]
    left_out: int = 0

    @property
    def first_part(self) -> tuple[Message, ...]:
        """The messages before the gap, or all."""
        return self.messages[: MOST_MESSAGES // 2] if self.left_out else self.messages

    @property
    def last_part(self) -> tuple[Message, ...]:
        """The messages after the gap."""
        return self.messages[MOST_MESSAGES // 2 :] if self.left_out else ()


def read(input_: Any, output: Any, *, kind: str) -> Conversation:
    """The conversation of a span. `kind` decides who speaks where a plain text was sent."""
    asks, answers = ("tool", "tool") if kind == "tool" else ("user", "assistant")
    found = [*_messages(input_, asks), *_messages(output, answers)]
    if len(found) <= MOST_MESSAGES:
        return Conversation(tuple(found))
    half = MOST_MESSAGES // 2
    return Conversation((*found[:half], *found[-half:]), left_out=len(found) - MOST_MESSAGES)


def _messages(value: Any, role: str) -> Iterator[Message]:
    if value is None or value == "":
        return
    if isinstance(value, str):
        yield Message(role, (_prose(value),))
    elif isinstance(value, list) and value and all(_is_message(_opened(item)) for item in value):
        for item in value:
            yield _message(_opened(item), role)
    elif isinstance(value, Mapping):
        yield from _from_object(value, role)
    else:
        yield Message(role, (_code(value),))


def _from_object(value: Mapping[str, Any], role: str) -> Iterator[Message]:
    """A request or an answer as a whole: the messages within it."""
    for name in ("system", "instructions", "system_instruction"):
        if isinstance(value.get(name), str):
            yield Message("system", (_prose(value[name]),))
    for name in ("messages", "input", "contents", "message", "output"):
        inner = value.get(name)
        if isinstance(inner, list) and inner and all(_is_message(_opened(item)) for item in inner):
            yield from _messages(inner, role)
            return
        if isinstance(inner, Mapping) and _is_message(inner):
            yield _message(inner, role)
            return
    choices = value.get("choices")
    if isinstance(choices, list) and choices and all(_is_choice(item) for item in choices):
        for item in choices:
            yield _message(item["message"], role)
    elif _is_message(value):
        yield _message(value, role)
    else:
        yield Message(role, (_code(value),))


def _is_choice(value: Any) -> bool:
    return isinstance(value, Mapping) and _is_message(value.get("message"))


def _opened(value: Any) -> Any:
    """A message of LangChain's, written as `{"type": "human", "data": {...}}` or flat, as others write theirs."""
    if not isinstance(value, Mapping) or "role" in value:
        return value
    inner = value["data"] if isinstance(value.get("data"), Mapping) else value
    kind = value.get("type")
    if isinstance(kind, str) and kind.removesuffix("MessageChunk").lower() in LANGCHAIN and "content" in inner:
        return {**inner, "role": LANGCHAIN[kind.removesuffix("MessageChunk").lower()]}
    return value


def _is_message(value: Any) -> bool:
    if not isinstance(value, Mapping) or not isinstance(value.get("role"), str):
        return False
    return any(name in value for name in ("content", "parts", "tool_calls", "function_call", "refusal"))


def _message(value: Mapping[str, Any], role: str) -> Message:
    said = value.get("role") or role
    name = value.get("name") or value.get("tool_call_id") or ""
    parts = [*_parts(value.get("content")), *_parts(value.get("parts")), *_parts(value.get("refusal"))]
    for call in value.get("tool_calls") or []:
        parts.append(_call(call))
    if isinstance(value.get("function_call"), Mapping):
        parts.append(_call({"function": value["function_call"]}))
    lower = str(said).lower()
    return Message(
        OTHER_NAMES.get(lower, lower), tuple(parts) or (Part(""),), name=name if isinstance(name, str) else ""
    )


def _parts(content: Any) -> Iterable[Part]:
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [_prose(content)]
    if isinstance(content, Sequence):
        return [_part(item) for item in content]
    return [_part(content)]


def _part(item: Any) -> Part:
    if isinstance(item, str):
        return _prose(item)
    if not isinstance(item, Mapping):
        return _code(item)
    kind = str(item.get("type") or "").replace("-", "_")
    for name in ("text", "content", "thinking"):
        if kind in {"", "text", "input_text", "output_text", "refusal", "thinking", "reasoning"} and isinstance(
            item.get(name), str
        ):
            return replace(_prose(item[name]), title=kind if kind in {"thinking", "reasoning"} else "")
    if kind in {"tool_use", "tool_call"} or "functionCall" in item:
        return _call(item.get("functionCall", item))
    if kind in {"tool_result", "tool_call_response"}:
        inner = next((item[name] for name in ("content", "response", "result", "output") if name in item), None)
        if isinstance(inner, Mapping) and inner.keys() == {"type", "value"}:  # the Vercel AI SDK's
            inner = inner["value"]
        return replace(_prose(inner) if isinstance(inner, str) else _code(inner), title="tool result")
    return _code(item)


def _call(call: Any) -> Part:
    """A call of a tool as it would be written: `lookup_order(order="70-4412")`."""
    if not isinstance(call, Mapping):
        return _code(call)
    function = call.get("function") if isinstance(call.get("function"), Mapping) else call
    assert isinstance(function, Mapping)
    given = next((function[name] for name in ("arguments", "input", "args") if name in function), None)
    arguments = _loaded(given)
    name = str(function.get("name") or function.get("toolName") or "tool")
    if not isinstance(arguments, Mapping):
        return _cut(f"{name}({'' if arguments is None else json.dumps(arguments, ensure_ascii=False)})", is_code=True)
    written = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in arguments.items())
    return _cut(f"{name}({written})", is_code=True)


def _loaded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _prose(text: str) -> Part:
    """A text; one that is JSON by itself (a tool's answer) is shown as code."""
    loaded = _loaded(text) if text[:1] in {"{", "["} else text
    return _cut(text) if isinstance(loaded, str) else _code(loaded)


def _code(value: Any) -> Part:
    return _cut(json.dumps(value, ensure_ascii=False, indent=2), is_code=True)


def _cut(text: str, *, is_code: bool = False) -> Part:
    return Part(text[:MOST_CHARS], is_code=is_code, is_cut=len(text) > MOST_CHARS)


# --- Several spans together ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Step:
    """What one span adds to the conversation of its trace: messages that no step before it had.

    `known` counts the messages that it repeats, as every model call repeats what was said before.
    """

    span: Any
    messages: tuple[Message, ...]
    known: int = 0


def thread(spans: Iterable[Any]) -> list[Step]:
    """The conversation of a trace: what each span says that was not said before, in the order of the spans."""
    said: set[tuple[str, ...]] = set()
    steps = []
    for span in spans:
        talk = _tool_run(span) if span.kind == "tool" else read(span.input, span.output, kind=span.kind)
        fresh = [message for message in talk.messages if _gist(message) not in said]
        said |= {_gist(message) for message in talk.messages}
        steps.append(Step(span, tuple(fresh[-MOST_MESSAGES:]), known=len(talk.messages) - len(fresh) + talk.left_out))
    return steps


def _gist(message: Message) -> tuple[str, ...]:
    """Equal for a message and its repetition: a tool's answer comes back under other names."""
    speaker = "" if message.role == "tool" else message.role
    return (speaker, *(part.text.strip() for part in message.parts))


def _tool_run(span: Any) -> Conversation:
    """A tool's run: how it was called, and what it gave back."""
    asked = _call({"name": span.tool_name or span.name, "arguments": span.input})
    answered = [part for message in _messages(span.output, "tool") for part in message.parts]
    messages = [Message("assistant", (asked,)) if span.input is not None else None]
    messages.append(Message("tool", tuple(answered), name=span.tool_name or span.name) if answered else None)
    return Conversation(tuple(message for message in messages if message is not None))


def exchange(asking: Any, answering: Any) -> tuple[Message, ...]:
    """A trace in two messages: the last thing the user said, and the answer. From its root where that has both, else
    from its last model call; whatever is missing is left out."""
    for span in (asking, answering):
        if span is None or span.kind == "tool":
            continue
        asked = [message for message in _messages(span.input, "user") if message.role == "user"]
        answered = [message for message in _messages(span.output, "assistant") if _says_something(message)]
        if asked and answered:
            return asked[-1], answered[-1]
    spans = [span for span in (asking, answering) if span is not None]
    asked = [message for span in spans for message in _messages(span.input, "user")][-1:]
    answered = [message for span in spans for message in _messages(span.output, "assistant")][-1:]
    return (*asked, *answered)


def _says_something(message: Message) -> bool:
    return any(part.text.strip() for part in message.parts)
