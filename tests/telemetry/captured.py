"""Recorded requests of client libraries, sent again, and what came of them as the API tells it."""

from __future__ import annotations

import base64
import gzip
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import httpx

CAPTURES = Path(__file__).parent / "captures"
CLIENTS = sorted(path.parent.name for path in CAPTURES.glob("*/expected.json"))

SUMS = {
    "model_calls": "model_calls",
    "model_errors": "model_errors",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "cached_input_tokens": "cached_input_tokens",
    "cache_write_input_tokens": "cache_write_tokens",
    "reasoning_tokens": "reasoning_tokens",
}
"""Figures of model calls: what the expectation calls them, and the totals of a trace."""

COUNTS = {
    "embedding_calls": "embedding_calls",
    "tool_runs": "tool_runs",
    "retrievals": "retrievals",
    "rerankings": "rerankings",
    "agents": "agents",
}
"""Things counted by spans, checked where the client sends a span of that kind for each."""

TEXTS = ("user_id", "session_id", "prompt_name", "prompt_version")
FIELDS = (*SUMS, *COUNTS, "embedding_input_tokens", *TEXTS, "error", "ttft", "unknown")


def expected_of(client: str) -> dict[str, Any]:
    """What `expected.json` says of the client's flows."""
    expected: dict[str, Any] = json.loads((CAPTURES / client / "expected.json").read_text())
    return expected


def requests_of(client: str) -> dict[str, list[dict[str, Any]]]:
    """The client's requests by flow, in the order in which they were sent."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(CAPTURES / client / "requests.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            request = json.loads(line)
            found[request["flow"]].append(request)
    return found


def send(client: httpx.Client, key: str, request: dict[str, Any]) -> httpx.Response:
    """Send a request as it was recorded, with our key."""
    body = base64.b64decode(request["body"])
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": request["content_type"],
        "User-Agent": request["user_agent"],
    }
    if request["content_encoding"] == "gzip":
        body = gzip.compress(body)
        headers["Content-Encoding"] = "gzip"
    return client.post(request["path"], content=body, headers=headers)


def findings(expect: dict[str, Any], traces: list[dict[str, Any]]) -> dict[str, tuple[Any, Any]]:
    """For each field that can be checked: what is expected of a flow, and what its traces say together."""
    found: dict[str, tuple[Any, Any]] = {}
    totals = [trace["totals"] for trace in traces]
    for name, ours in SUMS.items():
        if expect.get(name) is not None:
            found[name] = expect[name], sum(one[ours] for one in totals)
    for name, ours in COUNTS.items():
        if _by_span(expect.get(name)):
            found[name] = expect[name]["count"], sum(one[ours] for one in totals)
    if _by_span(expect.get("embedding_calls")) and expect["embedding_calls"]["input_tokens"] is not None:
        tokens = sum(one["embedding_input_tokens"] for one in totals)
        found["embedding_input_tokens"] = expect["embedding_calls"]["input_tokens"], tokens
    for name in TEXTS:
        if expect.get(name) is not None:
            said = {trace[name] for trace in traces} - {None}
            found[name] = expect[name], said.pop() if len(said) == 1 else sorted(said)
    spans = [span for trace in traces for span in trace["spans"]]
    calls = [span for span in spans if span["counted"] and span["kind"] == "llm"]
    if expect.get("error") is not None:
        found["error"] = expect["error"], any(span["status"] == "error" for span in spans)
    if expect.get("ttft"):
        found["ttft"] = True, any(span["ttft_ms"] is not None for span in calls)
    if calls and expect.get("input_tokens", 0) is None and expect.get("model_calls") is not None:
        known = [span["input_tokens"] for span in calls] + [span["cost_usd"] for span in calls]
        found["unknown"] = True, all(one is None for one in known)
    return found


def _by_span(expected: dict[str, Any] | None) -> bool:
    """Whether the client sends a span of the kind for each: `on_wire` begins with what it sends."""
    on_wire = (expected or {}).get("on_wire") or ""
    return on_wire == "event" or on_wire == "span" or on_wire.startswith(("span,", "span ("))
