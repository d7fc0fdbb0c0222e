"""The lines that send a first call: complete, with the project's key and address, ready to be run as they are. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

LATENCY_MS = 1840


@dataclass(frozen=True)
class Example:
    """What a snippet is filled with. The ids are fresh, so that the line sends a call that nobody has sent before."""

    address: str
    key: str
    trace_id: str
    span_id: str
    now: datetime

    @property
    def started_at(self) -> str:
        """When the invented call began: so that it ends about now."""
        return f"{self.now - timedelta(milliseconds=LATENCY_MS):%Y-%m-%dT%H:%M:%SZ}"


def curl(example: Example) -> str:
    """One call by curl, for any shell."""
    return f"""curl {example.address}/api/v1/telemetry \\
  -H "Authorization: Bearer {example.key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"spans": [{{"trace_id": "{example.trace_id}",
       "span_id": "{example.span_id}", "name": "chat",
       "feature": "support-answers", "user_id": "u_1",
       "provider": "openai", "request_model": "gpt-4o-mini",
       "started_at": "{example.started_at}", "latency_ms": {LATENCY_MS}, "ttft_ms": 410,
       "input_tokens": 812, "output_tokens": 96,
       "input": "Where is my parcel?", "output": "It arrives tomorrow."}}]}}'"""


def python(example: Example) -> str:
    """One call from Python, with nothing to install."""
    return f'''import json, secrets, urllib.request
from datetime import datetime, timezone

span = {{
    "trace_id": secrets.token_hex(16), "span_id": secrets.token_hex(8),
    "name": "chat", "feature": "support-answers", "user_id": "u_1",
    "provider": "openai", "request_model": "gpt-4o-mini",
    "started_at": datetime.now(timezone.utc).isoformat(), "latency_ms": {LATENCY_MS}, "ttft_ms": 410,
    "input_tokens": 812, "output_tokens": 96,
    "input": "Where is my parcel?", "output": "It arrives tomorrow.",
}}
request = urllib.request.Request(
    "{example.address}/api/v1/telemetry",
    data=json.dumps({{"spans": [span]}}).encode(),
    headers={{"Authorization": "Bearer {example.key}", "Content-Type": "application/json"}},
)
print(urllib.request.urlopen(request).read().decode())'''


def javascript(example: Example) -> str:
    """One call from JavaScript on a server (Node 18 or later, Deno, Bun); a browser would show the key to everybody."""
    return f"""const id = crypto.randomUUID().replaceAll("-", "");
const span = {{
  trace_id: id, span_id: id.slice(0, 16),
  name: "chat", feature: "support-answers", user_id: "u_1",
  provider: "openai", request_model: "gpt-4o-mini",
  started_at: new Date().toISOString(), latency_ms: {LATENCY_MS}, ttft_ms: 410,
  input_tokens: 812, output_tokens: 96,
  input: "Where is my parcel?", output: "It arrives tomorrow.",
}};
const answer = await fetch("{example.address}/api/v1/telemetry", {{
  method: "POST",
  headers: {{ Authorization: "Bearer {example.key}", "Content-Type": "application/json" }},
  body: JSON.stringify({{ spans: [span] }}),
}});
console.log(await answer.json());"""


WAYS = {"curl": curl, "python": python, "javascript": javascript}
