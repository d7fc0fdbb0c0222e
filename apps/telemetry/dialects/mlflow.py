"""MLflow's traces sent over OTLP, under its own names or in its GenAI mode. Names: `mlflow.tracing.constant`.

Every value of its own attributes is JSON in a text, also `"20"` and `"\\"TOOL\\""`.
"""

from __future__ import annotations

from typing import Any

from apps.telemetry.dialects import content, usage
from apps.telemetry.dialects import converting as to
from apps.telemetry.dialects.table import Dialect, Draft, Several, Source
from apps.telemetry.otlp import OtlpEvent
from apps.telemetry.types import CALL_KINDS

FIRST, LATE, LAST = 40, 65, 75

KINDS = {
    "LLM": "llm",
    "CHAT_MODEL": "llm",
    "EMBEDDING": "embedding",
    "RETRIEVER": "retriever",
    "RERANKER": "reranker",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "chain",
    "WORKFLOW": "chain",
    "TASK": "chain",
    "PARSER": "chain",
    "MEMORY": "chain",
    "GUARDRAIL": "chain",
    "EVALUATOR": "chain",
    "UNKNOWN": "chain",
}
"""`mlflow.spanType`; in its GenAI mode those without a name of the convention's come as `gen_ai.operation.name`."""


def _kind(value: Any) -> str | None:
    said = to.unquoted(value)
    return KINDS.get(said) if said is not None else None


def _asked(value: Any) -> dict[str, Any]:
    """The messages of a call's arguments; the others are attributes of their own as well."""
    found = to.content(value)
    if isinstance(found, dict):
        for name in ("messages", "input", "contents", "prompt"):
            if "model" in found and found.get(name) is not None:
                return {"input": to.content(found[name]), "request_model": to.text(found["model"])}
    return {} if found is None else {"input": found}


def _answered(value: Any) -> dict[str, Any]:
    """The messages of a provider's answer, with what it says of itself and of its usage."""
    found = to.content(value)
    if not isinstance(found, dict) or "usage" not in found:
        return {} if found is None else {"output": found}
    choices = found.get("choices")
    choices = [one for one in choices if isinstance(one, dict)] if isinstance(choices, list) else []
    reason = choices[0].get("finish_reason") if choices else found.get("stop_reason") or found.get("status")
    messages = [one["message"] for one in choices if isinstance(one.get("message"), dict)]
    return {
        **usage.fields(found.get("usage")),
        "output": messages or to.structured(found.get("output") or found.get("content")),
        "response_id": to.text(found.get("id")),
        "response_model": to.text(found.get("model")),
        "finish_reason": to.finish(reason),
    }


def _cost(value: Any) -> dict[str, Any]:
    total = to.money(to.pick(to.mapping(value), "total_cost"))
    return {"cost_usd": total} if total else {}


def _chunk(draft: Draft, event: OtlpEvent) -> bool:
    known = draft.fields.get("ttft_at")
    if known is None or event.time_ns < known:
        draft.fields["ttft_at"] = event.time_ns
    return True


def _finish(draft: Draft) -> None:
    kind, said = draft.kind, draft.attributes
    if kind in CALL_KINDS:
        draft.add("request_model", to.unquoted(said.get("model")))
        draft.add("streamed", to.flag(said.get("stream")))
        draft.add("user_id", to.unquoted(said.get("user")))
    else:
        for field in ("request_model", "response_model", "response_id", "finish_reason"):
            if field in draft.fields:
                draft.set(field, None)
    if kind == "tool":
        draft.add("tool_name", to.unquoted(said.get("mlflow.spanFunctionName")) or draft.span.name)
    elif kind == "agent":
        draft.add("agent_name", draft.span.name)
    elif kind in {"retriever", "reranker"} and content.is_documents(draft.get("output")):
        draft.fields["documents"] = content.documents(draft.fields.pop("output"))


DIALECT = Dialect(
    name="mlflow",
    sources=(
        Source("mlflow.spanType", "kind", _kind, FIRST, keep=True),
        Source("gen_ai.operation.name", "kind", _kind, LATE, keep=True),
        Source("mlflow.llm.model", "response_model", to.unquoted, FIRST),
        Source("mlflow.llm.provider", "provider", lambda value: to.provider(to.unquoted(value)), LATE),
        Source("mlflow.trace.user", "user_id", to.unquoted, LATE),
        Source("mlflow.trace.session", "session_id", to.unquoted, LATE),
        Source("mlflow.user.id", "user_id", to.unquoted, LATE),
        Source("mlflow.session.id", "session_id", to.unquoted, LATE),
    ),
    several=(
        Several("mlflow.chat.tokenUsage", usage.fields, LATE),
        Several("mlflow.llm.cost", _cost, LATE),
        Several("mlflow.spanInputs", _asked, LATE),
        Several("mlflow.spanOutputs", _answered, LAST),
        Several("mlflow.chat.messages", lambda value: {"input": to.content(value)}, LAST),
    ),
    events={"mlflow.chunk.item.*": _chunk},
    marks=("mlflow.spanType",),
    scopes=("mlflow.",),
    finish=_finish,
)
