"""The spans that Anthropic's own SDK makes, beside what the instrumentations of it say.

Since version 2 the SDK reports each call itself, so with any instrumentation it comes twice: as a child of the
instrumentation's span, or beside it (OpenLLMetry), in another trace when there is no span around. Both name the id of
the answer; a call that failed before it had one is known by its time (`apps.telemetry.settling`).
"""

from __future__ import annotations

from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Source

LATE = 60

DIALECT = Dialect(
    name="anthropic",
    sources=(Source("anthropic.message.stop_reason", "finish_reason", to.finish, LATE),),
)
