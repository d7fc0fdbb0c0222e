"""OpenLIT, where it says more than OpenTelemetry's conventions, or says it elsewhere."""

from __future__ import annotations

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Source

LATE, LAST = 60, 75

DIALECT = Dialect(
    name="openlit",
    sources=(
        Source("gen_ai.usage.cost", "cost_usd", to.money),
        Source("gen_ai.server.time_to_first_token", "ttft_if_streamed_ms", to.seconds),
        Source("gen_ai.request.is_stream", "streamed", to.flag, LATE),
        Source("gen_ai.request.user", "user_id", to.text, LATE),
        Source("gen_ai.tool.args", "input", to.content, LAST),
        Source("gen_ai.content.prompt", "input", to.content, LAST),
        Source("gen_ai.content.completion", "output", to.content, LAST),
    ),
)
