"""Scorers of your own behind an address: the case goes there as JSON, a score comes back.

The body is {"variables", "messages", "expected", "context", "metadata", "output", "tool_calls", "finish_reason",
"steps", "latency_ms", "ttft_ms", "cost_usd", "other_output"}. The answer is {"score": 0..1, "reason": text,
"label"?: text}, or {"score": null, "reason": text} for a case that the scorer does not apply to.
"""

from __future__ import annotations

import math
from typing import Any

from apps.core.errors import DomainError
from apps.evals.scoring.kinds import Asker, Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed

MOST_REASON, MOST_LABEL = 4_000, 200
LONGEST_SECONDS = 120
URL = Field("url", "Address", default="", help="The case is posted there as JSON (docs/judges.md has the shapes).")
SECONDS = Field("seconds", "Seconds it may take", FieldType.NUMBER, 30)
SECRET = Field("secret", "Key", default="", help="Sent as a bearer token. It is stored sealed and never shown again.")
FIELDS = (URL, SECONDS, SECRET)


def case_as_dict(case: Case) -> dict[str, Any]:
    """The case as it is sent: every field of it, money as text."""
    return {
        "variables": dict(case.variables),
        "messages": [dict(one) for one in case.messages],
        "expected": case.expected,
        "context": [dict(one) for one in case.context],
        "metadata": dict(case.metadata),
        "output": case.output,
        "tool_calls": [dict(one) for one in case.tool_calls],
        "finish_reason": case.finish_reason,
        "steps": [dict(one) for one in case.steps],
        "latency_ms": case.latency_ms,
        "ttft_ms": case.ttft_ms,
        "cost_usd": None if case.cost_usd is None else str(case.cost_usd),
        "other_output": case.other_output,
    }


def read_answer(told: Json) -> Score:
    """What an outside scorer answered, as a score; a failure when it is not in the agreed shape."""
    if not isinstance(told, dict) or not {"score", "reason"} <= set(told) <= {"score", "reason", "label"}:
        return scorer_failed('The scorer must answer {"score", "reason"} and may add "label"; it did not.')
    value, reason, label = told["score"], told["reason"], told.get("label") or ""
    if not isinstance(reason, str) or not isinstance(label, str):
        return scorer_failed("The reason and the label of the scorer must be texts.")
    reason = _clean(reason)[:MOST_REASON]
    if value is None:
        return not_scored(reason or "The scorer gave no score.")
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not 0 <= value <= 1:
        return scorer_failed("The score of the scorer must be a number between 0 and 1, or null.")
    return scored(float(value), reason, label=_clean(label)[:MOST_LABEL])


def _clean(text: str) -> str:
    return text.replace("\x00", "�").encode("utf-8", "replace").decode()


def _check(settings: Settings, problems: Problems) -> None:
    url = settings["url"].strip()
    if not url.startswith(("https://", "http://")) or len(url) > 500:
        problems["url"] = ["Give an address of at most 500 characters, such as https://scorer.example.com/score."]
    settings["url"] = url


async def _ask(case: Case, config: Config, asker: Asker) -> Score:
    try:
        told = await asker.post(
            config["url"], case_as_dict(case), secret=config["secret"], seconds=float(config["seconds"])
        )
    except DomainError as error:
        return scorer_failed(f"The scorer gave no answer: {error.text}", code=error.code)
    return read_answer(told)


KINDS = (
    ScorerKind(
        name="http",
        title="Scorer of your own",
        about="Your own service scores the case: it gets it as JSON and answers with a score and a reason.",
        group="own",
        fields=FIELDS,
        read=config_reader(FIELDS, ranges={"seconds": (1, LONGEST_SECONDS)}, check=_check),
        ask=_ask,
    ),
)
