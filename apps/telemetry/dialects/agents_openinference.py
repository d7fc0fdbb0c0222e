"""What OpenInference's instrumentation of the OpenAI Agents SDK marks otherwise than others do."""

from __future__ import annotations

from apps.telemetry.dialects.table import Dialect, Draft

SCOPE = "openinference.instrumentation.openai_agents"


def _finish(draft: Draft) -> None:
    """Its trace is marked as an agent and a handoff as a tool; every model span is a call, said much of it or not."""
    said = draft.attributes.get("openinference.span.kind")
    if said == "AGENT" and draft.span.parent_span_id is None and "agent.name" not in draft.attributes:
        draft.set("kind", "chain")
        draft.set("agent_name", None)
    elif said == "TOOL" and draft.span.name.startswith("handoff to "):
        draft.set("kind", "chain")
        draft.set("tool_name", None)
    elif said == "LLM":
        draft.fields["kind"] = "llm"


DIALECT = Dialect(
    name="agents-openinference",
    scopes=(SCOPE,),
    finish=_finish,
)
