"""The spans that Anthropic's own SDK makes, and an instrumentation's beside them.

Since version 2 the SDK reports each call itself, so with any instrumentation it comes twice. A call that succeeded is
known by the id of its answer. One that failed has none, so both reports get the same one made of what they share: where
they hang, what was asked of which model, and when. OpenLLMetry's span is beside the SDK's, not around it.
"""

from __future__ import annotations

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Source

SDK, OPENLLMETRY = "com.anthropic.sdk", "opentelemetry.instrumentation.anthropic"
LATE = 60
WINDOW_NS = 100_000_000
"""The two reports of one call start about a millisecond apart."""


def _finish(draft: Draft) -> None:
    span = draft.span
    if span.status_code != 2 or draft.get("response_id") is not None or draft.kind != "llm":
        return
    parent = span.parent_span_id.hex() if span.parent_span_id else ""
    asked = (draft.get("request_model"), span.attributes.get("gen_ai.request.max_tokens"))
    draft.add("call_id", f"anthropic:{parent}:{asked[0]}:{asked[1]}:{span.start_ns // WINDOW_NS}")


DIALECT = Dialect(
    name="anthropic",
    sources=(Source("anthropic.message.stop_reason", "finish_reason", to.finish, LATE),),
    scopes=(SDK, OPENLLMETRY),
    finish=_finish,
)
