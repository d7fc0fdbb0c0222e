"""The one address: hot doors first, pages and the JSON API behind them in threads.

Django's own ASGI handler starts threads for each request and is many times slower than its WSGI handler in a pool of
threads, hence the bridge (docs/decisions/0001-one-address.md).
"""

import os
from typing import Any, cast

from a2wsgi import WSGIMiddleware

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")

from llmops_site.wsgi import application as pages  # Django is set up by this import

# isort: split
from apps.core import egress
from apps.core.doors import HotDoor, HotDoors, PatternDoor
from apps.core.lifespan import Lifespan
from apps.core.threads import end_pool
from apps.playground import doors as playground
from apps.playground import tokens
from apps.prompts import doors as prompts
from apps.telemetry import doors as telemetry

PAGE_THREADS = 8

OTLP = {"traces": telemetry.traces, "logs": telemetry.logs, "metrics": telemetry.metrics}
DOORS = {
    "/api/v1/telemetry": HotDoor("POST", telemetry.telemetry),
    **{
        f"{base}/{signal}": HotDoor("POST", door, telemetry.answer_refusal)
        for base in ("/v1", "/api/public/otel/v1")
        for signal, door in OTLP.items()
    },
    "/v1/traces/ingest": HotDoor("POST", telemetry.agents),
    "/litellm/callback": HotDoor("POST", telemetry.litellm),
    "/api/v1/litellm": HotDoor("POST", telemetry.litellm),
    **{
        f"{base}/v1/private/{what}/batch": HotDoor("POST", telemetry.opik)
        for base in ("", "/api")
        for what in ("traces", "spans")
    },
}

# Names of prompts may hold slashes.
PATTERNS = [
    PatternDoor("/api/v1/prompts/", "/live", HotDoor("GET POST", prompts.live)),
    PatternDoor(tokens.PREFIX, "", HotDoor("GET", playground.answer)),
]

# Both speak the protocols that the other expects; their annotations word them differently.
behind = WSGIMiddleware(cast(Any, pages), workers=PAGE_THREADS)
application = Lifespan(
    HotDoors(DOORS, behind=cast(Any, behind), patterns=PATTERNS),
    on_stop=[
        telemetry.stop,
        prompts.stop,
        playground.stop,
        egress.close,
        lambda: end_pool(behind.executor, workers=PAGE_THREADS),
    ],
)
