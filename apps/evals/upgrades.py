"""Model upgrades as values: what is asked for, what the new model would cost at real traffic, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from apps.evals.compare import Comparison
from apps.evals.types import Verdict


@dataclass(frozen=True, slots=True)
class UpgradeWish:
    """One version of a prompt over one set, with the current model and the new one. An empty version: the newest."""

    prompt: str
    eval_set: str
    current_model: str
    new_model: str
    scorers: tuple[str, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """What the feature's calls of the last 30 days cost, and what they would cost with the new model.

    `new_usd` is the known cost times the ratio of what the same examples cost in both runs: longer answers and other
    prices are both in it, and prompts that are longer in production than in the set keep their weight only as far as
    both models charge input and output in the same proportion. None when a part is not known.
    """

    calls: int
    current_usd: Decimal | None
    new_usd: Decimal | None
    ratio: float | None


def monthly_cost(found: Comparison, calls: int, cost_usd: Decimal | None) -> MonthlyCost:
    """The cost of a month's calls with either model."""
    cost = found.cost
    if cost is None or not cost.baseline or cost.candidate is None:
        return MonthlyCost(calls, cost_usd, None, None)
    ratio = cost.candidate / cost.baseline
    return MonthlyCost(calls, cost_usd, None if cost_usd is None else cost_usd * Decimal(str(ratio)), ratio)


def answer(found: Comparison) -> str:
    """The upgrade's verdict in words, with the comparison's numbers."""
    if found.verdict in {Verdict.BETTER, Verdict.NOT_WORSE}:
        return f"Upgrade: {_lowered(found.sentence)}"
    if found.verdict is Verdict.WORSE:
        return f"Not an upgrade: {_lowered(found.sentence)}"
    return found.sentence


def _lowered(sentence: str) -> str:
    return sentence[:1].lower() + sentence[1:]
