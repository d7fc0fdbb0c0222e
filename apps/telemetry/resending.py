"""A span as the native intake takes it: as JSON, and as a command that sends it again. Pure."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.wire import KNOWN_FIELDS

OURS = {"project_id", "digest", "price_id"}
"""Columns that say nothing to whoever sent the span."""

END = "PRODWORTHY"


def as_json(span: SpanView) -> dict[str, Any]:
    """The span under the names of the native intake and ours, without what was not said."""
    kept = {name: value for name, value in span.values.items() if name not in OURS and value not in (None, "", [])}
    kept.update(_payload(span))
    return {name: _plain(value) for name, value in kept.items()}


def as_sent(span: SpanView) -> dict[str, Any]:
    """The span as a client would send it: nothing that only we know, and its own start."""
    values = {**as_json(span), "started_at": _plain(span.client_started_at)}
    cost = span.client_cost_usd
    values.pop("cost_usd", None)
    if cost is not None:
        values["cost_usd"] = _plain(cost)
    if span.has_log_content:
        values.pop("input", None)
        values.pop("output", None)
    return {name: value for name, value in values.items() if name in KNOWN_FIELDS}


def as_curl(span: SpanView, *, address: str) -> str:
    """A shell command that sends the span again; the key is taken from $PRODWORTHY_KEY.

    The body stands on one line between quoted marks, so that the shell changes nothing in it.
    """
    body = json.dumps({"spans": [as_sent(span)]}, ensure_ascii=False)
    return f"""curl {address}/api/v1/telemetry \\
  -H "Authorization: Bearer $PRODWORTHY_KEY" \\
  -H "Content-Type: application/json" \\
  --data-binary @- <<'{END}'
{body}
{END}
"""


def _payload(span: SpanView) -> dict[str, Any]:
    values = {name: getattr(span, name) for name in ("input", "output", "documents", "attributes")}
    return {name: value for name, value in values.items() if value not in (None, [], {})}


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    return f"{value:f}" if hasattr(value, "quantize") else value
