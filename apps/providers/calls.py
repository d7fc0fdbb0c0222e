"""What goes to a model and what comes back, whoever the provider is: the words of the one port, `client`.

Requests and replies are in the shape of OpenAI's chat completions, because that is what most clients and models speak;
an adapter translates for the others. No framework is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from apps.providers.pricing import Usage


class Protocol(StrEnum):
    """How a connection is spoken to."""

    OPENAI = "openai"
    """OpenAI's chat completions and embeddings, which most providers and local servers speak too."""
    ANTHROPIC = "anthropic"
    """Anthropic's messages."""
    LITELLM = "litellm"
    """Everything else, through LiteLLM's SDK; `Target.provider` is LiteLLM's name of the provider."""
    TEST = "test"
    """The test model that is shipped: deterministic, free, and inside this process."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a call may take, how often it is tried, and how much may come back."""

    connect_seconds: float = 5.0
    first_byte_seconds: float = 30.0
    idle_seconds: float = 30.0
    total_seconds: float = 300.0
    attempts: int = 1
    """Tries in all, the first included. Only what cannot have produced an answer is tried again, never after the first
    byte of one."""
    max_bytes: int = 32 * 1024 * 1024
    max_event_bytes: int = 256 * 1024


@dataclass(frozen=True, slots=True)
class Target:
    """Where a call goes: a connection with its key, and the model as that provider names it."""

    protocol: Protocol
    provider: str
    """As the price book names it, such as `openai`."""
    model: str
    base_url: str = ""
    secret: str = field(default="", repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    limits: Limits = field(default_factory=Limits)
    connection: str = ""
    """The connection's name in its project, for people; empty for the test model."""


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """A chat request. Messages, tools and the schema are as in OpenAI's API; the model is the target's."""

    messages: tuple[Mapping[str, Any], ...]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Such as temperature, max_tokens, stop. Unknown ones are passed on."""
    tools: tuple[Mapping[str, Any], ...] = ()
    response_schema: Mapping[str, Any] | None = None
    """A JSON Schema that the answer shall meet."""
    user: str = ""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function that the model wants called. `arguments` is the JSON text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ModelReply:
    """A whole answer. Times are milliseconds since the first byte of the last attempt was sent."""

    text: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    """As OpenAI words it (`stop`, `length`, `tool_calls`, `content_filter`); None when the answer is incomplete."""
    is_complete: bool
    """False when the stream ended without its end mark, whatever was received until then."""
    model: str
    """As the provider answered, or as asked where it does not say."""
    response_id: str | None
    usage: Usage
    """As reported. All None when the provider reported nothing: then it is not known, not zero."""
    ttft_ms: int | None
    """Time to the first token of text or of a tool call; None when it was not streamed."""
    total_ms: int
    attempts: int


@dataclass(frozen=True, slots=True)
class Delta:
    """Some more text of an answer that is being streamed, or of the tool call with this number."""

    text: str = ""
    tool_call: int | None = None
    tool_name: str = ""
    ttft_ms: int | None = None
    """Set on the first one."""


@dataclass(frozen=True, slots=True)
class EmbedReply:
    """One vector for each text, in their order."""

    vectors: tuple[tuple[float, ...], ...]
    model: str
    usage: Usage
    total_ms: int
    attempts: int
