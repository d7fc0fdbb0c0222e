"""What OpenInference's instrumentation of LlamaIndex marks otherwise than others do.

It makes a span of every method, so a retrieval is one within another; the outer one has the documents.
"""

from __future__ import annotations

from apps.telemetry.dialects.table import Dialect, Draft

SCOPE = "openinference.instrumentation.llama_index"


def _finish(draft: Draft) -> None:
    method = draft.span.name.rpartition(".")[2]
    if draft.kind in {"retriever", "reranker"} and method.startswith("_") and draft.get("documents") is None:
        draft.set("kind", "chain")


DIALECT = Dialect(name="llama-index", scopes=(SCOPE,), finish=_finish)
