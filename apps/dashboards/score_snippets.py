"""The lines that send a first score: from a service, and from whoever reads the answer. Pure."""

from __future__ import annotations

from apps.dashboards.snippets import Example


def curl(example: Example) -> str:
    """A thumb up for an answer."""
    return f"""curl {example.address}/api/v1/scores \\
  -H "Authorization: Bearer {example.key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"trace_id": "{example.trace_id}", "name": "thumbs", "value": 1,
       "user_id": "u_1", "comment": "Just what I needed."}}'"""


def link(example: Example) -> str:
    """A link by which one person gives one score."""
    return f"""curl {example.address}/api/v1/feedback-links \\
  -H "Authorization: Bearer {example.key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"trace_id": "{example.trace_id}", "kind": "thumbs"}}'"""


def widget(example: Example) -> str:
    """Thumbs in a page of one's own; the token is that of the link."""
    return f"""<script src="{example.address}/feedback.js"
  data-token="TOKEN" data-comment defer></script>"""
