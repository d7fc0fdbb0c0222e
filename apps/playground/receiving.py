"""What has come of an answer so far, and how a call ended."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from apps.core.errors import DomainError
from apps.playground.types import AnswerState
from apps.providers.call_errors import ProviderError
from apps.providers.calls import Delta, ModelReply


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended: with a reply, an error, or because somebody cancelled it. What had come by then is kept."""

    state: AnswerState
    reply: ModelReply | None = None
    error_code: str = ""
    error: str = ""
    text: str = ""
    """What had come where there is no reply."""
    tool_calls: tuple[dict[str, str], ...] = ()
    ttft_ms: int | None = None
    total_ms: int | None = None


@dataclass(slots=True)
class Received:
    """The pieces of one answer as they come."""

    began: float = field(default_factory=time.monotonic)
    texts: list[str] = field(default_factory=list)
    calls: dict[int, list[str]] = field(default_factory=dict)
    """For each tool call its name, then the pieces of its arguments."""
    ttft_ms: int | None = None

    def add(self, delta: Delta) -> None:
        """One more piece."""
        if self.ttft_ms is None and delta.ttft_ms is not None:
            self.ttft_ms = delta.ttft_ms
        if delta.tool_call is None:
            self.texts.append(delta.text)
            return
        call = self.calls.setdefault(delta.tool_call, [""])
        call[0] = call[0] or delta.tool_name
        call.append(delta.text)

    def done(self, reply: ModelReply) -> Outcome:
        """The answer came to its end, or broke off without saying so."""
        return Outcome(AnswerState.DONE, reply)

    def failed(self, error: DomainError) -> Outcome:
        """The call failed; what had come is kept."""
        so_far = error.so_far if isinstance(error, ProviderError) else None
        if so_far is not None:
            return Outcome(AnswerState.FAILED, so_far, error.code, error.text)
        return self._kept(AnswerState.FAILED, error.code, error.text)

    def broken(self, sentence: str) -> Outcome:
        """A fault of ours ended the call."""
        return self._kept(AnswerState.FAILED, "internal_error", sentence)

    def cancelled(self) -> Outcome:
        """Somebody cancelled the call, or closed the page."""
        return self._kept(AnswerState.CANCELLED, "cancelled", "")

    def _kept(self, state: AnswerState, code: str, sentence: str) -> Outcome:
        calls = tuple({"id": "", "name": name, "arguments": "".join(pieces)} for name, *pieces in self.calls.values())
        total_ms = round((time.monotonic() - self.began) * 1000)
        return Outcome(state, None, code, sentence, "".join(self.texts), calls, self.ttft_ms, total_ms)
