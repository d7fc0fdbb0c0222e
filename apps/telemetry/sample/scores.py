"""What invented people and programs thought of the sample's answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from apps.telemetry.sample.dice import Dice

RATINGS = ((5, 0.46), (4, 0.31), (3, 0.12), (2, 0.06), (1, 0.05))
COMPLAINTS = (
    "That is not what I asked.",
    "The article it names is no longer in the shop.",
    "Too long, I only wanted the address.",
    "It says 30 days, the invoice says 14.",
)
THANKS = ("Just what I needed.", "Quick and friendly.", "Solved it, thank you.")


def scores_of(spans: Sequence[dict[str, Any]], end: datetime) -> Iterator[dict[str, Any]]:
    """Native scores of one trace, whose model call is the last of its spans. Most traces have none."""
    call = spans[-1]
    dice = Dice(f"score/{call['trace_id']}")
    given_at = datetime.fromisoformat(call["started_at"]) + timedelta(
        milliseconds=call["latency_ms"], seconds=dice.between(4, 240)
    )
    is_whole = call["status"] == "ok"
    if given_at > end:
        return
    about = {"trace_id": call["trace_id"], "user_id": call["user_id"], "timestamp": given_at.isoformat()}
    if call["feature"] in {"support-chat", "knowledge-search"} and dice.chance(0.09):
        liked = dice.chance((0.88 if call["feature"] == "support-chat" else 0.79) if is_whole else 0.1)
        comment = dice.pick(THANKS if liked else COMPLAINTS) if dice.chance(0.3) else None
        yield {**about, "name": "thumbs", "value": int(liked), "comment": comment, "source": "feedback"}
    if call["feature"] == "support-chat" and is_whole and dice.chance(0.03):
        yield {**about, "name": "rating", "value": dice.weigh(RATINGS), "source": "feedback"}
    if call["feature"] == "order-agent" and dice.chance(0.6):
        outcome = ("success" if dice.chance(0.93) else "failure") if is_whole else "failure"
        yield {**about, "name": "task_completion", "label": outcome}
    if call["feature"] == "code-completion" and is_whole and dice.chance(0.05):
        yield {**about, "name": "accepted", "value": dice.chance(0.64)}
