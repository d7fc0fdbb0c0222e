"""What is invented around a call: what a search found and a reranker made of it, and which tools an agent ran."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any

from apps.telemetry.sample.dice import Dice
from apps.telemetry.sample.texts import Errand, Search, ToolUse

FINDS_NOTHING = 0.035
SKIPS_RERANKING = 0.25
MARKS_USE = 0.6
HELP, PRODUCTS = "help-pages", "product-pages"
REBUILT_AT = time(2, 10)
REBUILT_EVERY = {HELP: 1, PRODUCTS: 7}
"""In days, counted from the first of January of the year one."""

GOES_IN_CIRCLES = 0.02
LOOKS_AGAIN = 0.18
FAILS, RUNS_OUT_OF_TIME = 0.03, 0.012
TOOL_PATIENCE_MS = 10_000


@dataclass(frozen=True)
class Found:
    """What a retriever brought, as fields of its span, and what a reranker left of it; None where none was asked."""

    documents: list[dict[str, Any]]
    reranked: list[dict[str, Any]] | None
    attributes: dict[str, Any]


def look_up(search: Search, number: int, at: datetime, *, has_texts: bool) -> Found:
    """The passages as the search found them and as the reranker ordered them: the order in which the answer cites."""
    dice = Dice(f"search/{number}")
    index = PRODUCTS if search.passages[0].id.startswith("products/") else HELP
    attributes = {"index_name": index, "index_updated_at": _rebuilt(index, at).isoformat()}
    if not has_texts and dice.chance(FINDS_NOTHING):
        return Found([], None, attributes)
    passages = list(search.passages)
    best = min(0.97, 0.78 * dice.spread(0.12))
    scores = sorted(
        (round(best * (1 - 0.6 * dice.share() * place / len(passages)), 3), place) for place in range(len(passages))
    )
    order = [place for _score, place in reversed(scores)]
    if dice.chance(0.5):
        order[0], order[-1] = order[-1], order[0]
    similar = [score for score, _place in reversed(scores)]
    documents = [_document(passages[place], score, has_texts) for place, score in zip(order, similar, strict=True)]
    if not has_texts and dice.chance(MARKS_USE):
        for place, document in zip(order, documents, strict=True):
            document["used"] = f"[{place + 1}]" in search.answer and not dice.chance(0.1)
    if not has_texts and dice.chance(SKIPS_RERANKING):
        return Found(documents, None, attributes)
    by_id = {document["id"]: document for document in documents}
    reranked = [
        {**by_id[passage.id], "rerank_score": round(0.96 * 0.62**place * dice.spread(0.05), 3)}
        for place, passage in enumerate(passages)
    ]
    return Found(documents, reranked, attributes)


def _document(passage: Any, score: float, has_texts: bool) -> dict[str, Any]:
    text = {"title": passage.title, "content": passage.text} if has_texts else {}
    return {"id": passage.id, "score": score, **text}


def _rebuilt(index: str, at: datetime) -> datetime:
    """When the index was last built anew: every night, or once a week."""
    day = at.date() - timedelta(days=at.date().toordinal() % REBUILT_EVERY[index])
    rebuilt = datetime.combine(day, REBUILT_AT, at.tzinfo)
    return rebuilt if rebuilt <= at else rebuilt - timedelta(days=REBUILT_EVERY[index])


@dataclass(frozen=True)
class ToolRun:
    """A run of a tool, and how it ended badly if it did."""

    tool: ToolUse
    latency_ms: int
    error_type: str = ""


def tool_runs(errand: Errand, number: int, first_ms: list[int]) -> list[ToolRun]:
    """The errand's tools with what went wrong: runs that failed and were tried again, and an agent going in circles.

    `first_ms` are the lengths of the tools when all goes well.
    """
    dice = Dice(f"tools/{number}")
    runs: list[ToolRun] = []
    for tool, latency_ms in zip(errand.tools, first_ms, strict=True):
        if dice.chance(FAILS):
            runs.append(ToolRun(tool, latency_ms, "upstream_error"))
        elif dice.chance(RUNS_OUT_OF_TIME):
            runs.append(ToolRun(tool, TOOL_PATIENCE_MS, "timeout"))
        runs.append(ToolRun(tool, latency_ms))
    if dice.chance(GOES_IN_CIRCLES):
        runs[1:1] = [ToolRun(errand.tools[0], round(120 * dice.spread(0.5))) for _ in range(dice.between(2, 7))]
    elif dice.chance(LOOKS_AGAIN):
        runs.append(ToolRun(errand.tools[0], round(120 * dice.spread(0.5))))
    return runs
