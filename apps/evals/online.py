"""Which production calls are scored, and how many were. Pure: values in, values out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

FILTERS = ("environment", "feature", "model", "prompt_name")
"""What calls can be chosen by."""

PARTS = 100_000
"""A percentage has three digits after the point."""

DROPPED = 32_000
"""The place of a scorer that is used no more and that items still tell of."""

REASONS: Mapping[str, str] = {
    "no_output": "its answer was not captured",
    "call_failed": "the call itself failed",
    "erased": "its content was erased",
    "masked": "a part of it was masked",
    "gone": "it is not kept any more",
    "not_applicable": "the scorer does not apply to it",
    "over_budget": "the budget of the day was spent",
    "no_price": "nobody knows what the judge costs, so the budget cannot be kept",
    "scorer_error": "the scorer failed",
    "interrupted": "its worker was lost several times",
}
"""Why a call that was chosen has no score, for people."""


def is_chosen(trace_id: bytes, *, key: bytes, percent: Decimal) -> bool:
    """Whether the trace belongs to the part of all traces that is scored: by a hash of its id, so always the same, and
    whatever was chosen at a lower percentage is chosen at a higher one."""
    drawn = int.from_bytes(hashlib.blake2b(trace_id, digest_size=8, key=key).digest(), "big") % PARTS
    return drawn < percent * (PARTS // 100)


@dataclass(frozen=True, slots=True)
class Why:
    """Why so many have no score: the reason's code, and what the first of them said."""

    state: str
    reason: str
    sentence: str
    count: int

    @property
    def words(self) -> str:
        """The reason for people."""
        return REASONS.get(self.reason, self.reason)


@dataclass(frozen=True, slots=True)
class Day:
    """What became of the calls of one day of UTC, by when they arrived. Scores are counted by call and scorer."""

    day: date
    matched: int = 0
    sampled: int = 0
    left_out: int = 0
    waiting: int = 0
    scored: int = 0
    not_scored: int = 0
    failed: int = 0
    spent_usd: Decimal = Decimal(0)
    total: float = 0.0

    @property
    def mean(self) -> float | None:
        """The mean score; None without any."""
        return self.total / self.scored if self.scored else None


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much was scored over several days, and why the rest was not."""

    days: tuple[Day, ...]
    whys: tuple[Why, ...] = ()

    def _sum(self, name: str) -> int:
        return sum(getattr(day, name) for day in self.days)

    @property
    def matched(self) -> int:
        """Calls that the filter found."""
        return self._sum("matched")

    @property
    def sampled(self) -> int:
        """Calls that were chosen of them."""
        return self._sum("sampled")

    @property
    def left_out(self) -> int:
        """Calls that were chosen beyond the most of a day."""
        return self._sum("left_out")

    @property
    def waiting(self) -> int:
        """Scores that are still to be made."""
        return self._sum("waiting")

    @property
    def scored(self) -> int:
        """Scores that were made."""
        return self._sum("scored")

    @property
    def not_scored(self) -> int:
        """Scores that do not apply, or could not be paid."""
        return self._sum("not_scored")

    @property
    def failed(self) -> int:
        """Scores that failed, and can be tried again."""
        return self._sum("failed")

    @property
    def spent_usd(self) -> Decimal:
        """What judges cost."""
        return sum((day.spent_usd for day in self.days), Decimal(0))

    @property
    def sentence(self) -> str:
        """`312 of 20,144 calls sampled: 300 scores, 8 not scored, 4 failed: …`."""
        text = f"{self.sampled:,} of {self.matched:,} calls sampled: {self.scored:,} scores"
        if self.waiting:
            text += f", {self.waiting:,} waiting"
        for state, count in (("not_scored", self.not_scored), ("failed", self.failed)):
            if count:
                first = next((why.sentence or why.words for why in self.whys if why.state == state), "")
                text += f", {count:,} {state.replace('_', ' ')}" + (f": {first.rstrip('.')}" if first else "")
        return text + "."


def coverage(days: Sequence[Day], whys: Sequence[Why]) -> Coverage:
    """Days in order, reasons by how often they hold."""
    ordered = sorted(whys, key=lambda why: (why.state, -why.count, why.reason))
    return Coverage(tuple(sorted(days, key=lambda day: day.day)), tuple(ordered))
