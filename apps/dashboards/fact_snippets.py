"""The lines that send a first retrieval or a first task: complete, ready to be run as they are. Pure."""

from __future__ import annotations

from datetime import timedelta

from apps.dashboards.snippets import Example


def _span(example: Example, number: int, ago_ms: int) -> str:
    """The fields that every span has; `number` tells the spans of the example apart."""
    span_id = f"{(int(example.span_id, 16) + number) % 2**64 or 1:016x}"
    started_at = example.now - timedelta(milliseconds=ago_ms)
    return (
        f'"trace_id": "{example.trace_id}", "span_id": "{span_id}", "started_at": "{started_at:%Y-%m-%dT%H:%M:%S.%fZ}"'
    )


def _parent(example: Example) -> str:
    return f'"parent_span_id": "{int(example.span_id, 16) or 1:016x}"'


def _post(example: Example, *spans: str) -> str:
    listed = ",\n  ".join(f"{{{span}}}" for span in spans)
    return f"""curl {example.address}/api/v1/telemetry \\
  -H "Authorization: Bearer {example.key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"spans": [
  {listed}]}}'"""


def retrieval(example: Example) -> str:
    """A chain that looks something up and answers from it."""
    return _post(
        example,
        f'{_span(example, 0, 1900)},\n   "kind": "chain", "name": "answer", "feature": "search", "latency_ms": 1900',
        f'{_span(example, 1, 1890)}, {_parent(example)},\n   "kind": "retriever", "name": "search", "latency_ms": 60,\n'
        '   "attributes": {"index_name": "help-pages", "index_age_s": 3600},\n'
        '   "documents": [{"id": "help/returns", "score": 0.82, "content": "Goods can be returned within 60 days."},\n'
        '                 {"id": "help/gifts", "score": 0.61, "content": "Gifts need the gift receipt."}]',
        f'{_span(example, 2, 1800)}, {_parent(example)},\n   "kind": "llm", "name": "chat", "latency_ms": 1800,'
        ' "provider": "openai", "request_model": "gpt-4o-mini",\n   "input_tokens": 320, "output_tokens": 18,'
        ' "output": "Within 60 days [1]."',
    )


def agent(example: Example) -> str:
    """An agent that runs a tool and answers."""
    return _post(
        example,
        f'{_span(example, 0, 2400)},\n   "kind": "agent", "name": "order desk", "agent_name": "order-desk",'
        ' "feature": "orders", "latency_ms": 2400',
        f'{_span(example, 1, 2390)}, {_parent(example)},\n   "kind": "tool", "name": "look up", "tool_name":'
        ' "look_up_order", "latency_ms": 140, "input": {"order": "FH-1"}',
        f'{_span(example, 2, 2200)}, {_parent(example)},\n   "kind": "llm", "name": "chat", "latency_ms": 2100,'
        ' "provider": "openai", "request_model": "gpt-4o-mini",\n   "input_tokens": 410, "output_tokens": 35',
    )
