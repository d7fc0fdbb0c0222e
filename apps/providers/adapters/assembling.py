"""An answer that is put together from what a stream brings."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from apps.providers.call_errors import ProviderError
from apps.providers.calls import Delta, ModelReply, ToolCall
from apps.providers.pricing import Usage


def milliseconds_since(started: float) -> int:
    """Whole milliseconds since this reading of `time.perf_counter`."""
    return round((time.perf_counter() - started) * 1000)


@dataclass(slots=True)
class _Tool:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Assembly:
    """What has come until now. `add_text` and `add_tool` give the delta to pass on."""

    model: str
    started: float = field(default_factory=time.perf_counter)
    response_id: str | None = None
    finish_reason: str | None = None
    usage: Usage = field(default_factory=Usage)
    is_begun: bool = False
    """Whether a byte of an answer came."""
    is_ended: bool = False
    """Whether the end mark came."""
    ttft_ms: int | None = None
    _texts: list[str] = field(default_factory=list)
    _tools: dict[int, _Tool] = field(default_factory=dict)

    def add_text(self, text: str) -> Delta:
        """Some more of the answer's text."""
        self._texts.append(text)
        return Delta(text=text, ttft_ms=self._first())

    def add_tool(self, number: int, *, id: str = "", name: str = "", arguments: str = "") -> Delta:
        """Some more of the tool call with this number, which begins with the first of it."""
        tool = self._tools.setdefault(number, _Tool())
        tool.id = tool.id or id
        tool.name = tool.name or name
        tool.arguments.append(arguments)
        return Delta(text=arguments, tool_call=number, tool_name=tool.name, ttft_ms=self._first())

    def number_of_tools(self) -> int:
        """How many tool calls have begun."""
        return len(self._tools)

    def number_of(self, id: str) -> int | None:
        """The number of the tool call with this id."""
        return next((number for number, tool in self._tools.items() if tool.id == id), None)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Gives a failure within what had come before it, after which nothing may be tried again."""
        try:
            yield
        except ProviderError as error:
            if self.is_begun:
                error.is_transient = False
                error.so_far = self.reply()
            raise

    def reply(self) -> ModelReply:
        """The answer as it is now: whole if its end mark came, otherwise incomplete and without a finish reason."""
        return ModelReply(
            text="".join(self._texts),
            tool_calls=tuple(
                ToolCall(tool.id, tool.name, "".join(tool.arguments) or "{}") for _, tool in sorted(self._tools.items())
            ),
            finish_reason=self.finish_reason if self.is_ended else None,
            is_complete=self.is_ended,
            model=self.model,
            response_id=self.response_id,
            usage=self.usage,
            ttft_ms=self.ttft_ms,
            total_ms=milliseconds_since(self.started),
            attempts=1,
        )

    def _first(self) -> int | None:
        """The time to the first token, once."""
        if self.ttft_ms is not None:
            return None
        self.ttft_ms = milliseconds_since(self.started)
        return self.ttft_ms
