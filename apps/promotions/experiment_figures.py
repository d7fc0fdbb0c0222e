"""What a look at an experiment says, frozen: arms, differences with their intervals, guardrails, the sample ratio.

Values are per subject (see docs/experiment-statistics.md): rates and scores 0..1, money in US dollars, times in
milliseconds. A difference is treatment minus control. What is not known is None, never 0. Pure.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self


class Verdict(StrEnum):
    """What the primary metric says of a treatment, at this look and at every earlier or later one alike."""

    BETTER = "better"
    WORSE = "worse"
    NO_DIFFERENCE = "no_difference"
    """The whole interval lies within the smallest effect that was said to matter."""
    NOT_YET = "not_yet"
    """The interval holds zero: nothing was found so far."""
    TOO_FEW = "too_few"
    """Too few subjects, or too few that differ, for any interval."""

    @property
    def word(self) -> str:
        """As pages say it."""
        return VERDICT_WORDS[self]


VERDICT_WORDS = {
    Verdict.BETTER: "better",
    Verdict.WORSE: "worse",
    Verdict.NO_DIFFERENCE: "no difference that matters",
    Verdict.NOT_YET: "no difference found yet",
    Verdict.TOO_FEW: "too few subjects yet",
}


class GuardrailState(StrEnum):
    """What a guardrail says of a treatment."""

    OK = "ok"
    """The whole interval lies on the right side of the limit: not worse than was allowed."""
    NOT_WORSE_ENOUGH = "not_worse_enough"
    """Neither shown to be broken nor shown to hold."""
    BREACHED = "breached"
    TOO_FEW = "too_few"

    @property
    def word(self) -> str:
        """As pages say it."""
        return GUARDRAIL_WORDS[self]


GUARDRAIL_WORDS = {
    GuardrailState.OK: "holds",
    GuardrailState.NOT_WORSE_ENOUGH: "not broken so far",
    GuardrailState.BREACHED: "broken",
    GuardrailState.TOO_FEW: "too few subjects yet",
}


class RatioState(StrEnum):
    """Whether subjects fell into the arms as they should."""

    OK = "ok"
    BROKEN = "broken"
    """So far from the shares that no difference can be trusted."""
    TOO_FEW = "too_few"

    @property
    def word(self) -> str:
        """As pages say it."""
        return {"ok": "as planned", "broken": "broken", "too_few": "too few subjects yet"}[self.value]


@dataclass(frozen=True, slots=True)
class ArmFigures:
    """One arm. `mean` is the primary metric's, over `measured` subjects; `stray_share` is of its calls, 0..1."""

    name: str
    is_control: bool
    subjects: int
    calls: int
    stray_share: float | None
    mean: float | None
    measured: int
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """A treatment against the control on one metric. `low` and `high` hold the true difference at all looks together
    with probability `level`; None when there are too few subjects. `p_value` is always valid too.

    `metric` names what is compared, as `experiment_config` titles it; `unit` is ratio, usd, ms or score.
    """

    treatment: str
    metric: str
    unit: str
    control_mean: float | None
    treatment_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    level: float
    p_value: float | None
    verdict: Verdict
    sentence: str

    @property
    def has_interval(self) -> bool:
        """Whether both ends are known."""
        return self.low is not None and self.high is not None


@dataclass(frozen=True, slots=True)
class GuardrailFigures:
    """A guardrail for one treatment. It is broken when the whole interval is worse than `limit`, the difference that
    is still allowed (0 or more, in the metric's unit, in the bad direction)."""

    key: str
    treatment: str
    metric: str
    unit: str
    control_mean: float | None
    treatment_mean: float | None
    difference: float | None
    low: float | None
    high: float | None
    limit: float
    state: GuardrailState
    sentence: str


@dataclass(frozen=True, slots=True)
class RatioArm:
    """How many subjects an arm should have got, of all, and how many it has."""

    name: str
    expected: float
    found: int


@dataclass(frozen=True, slots=True)
class SampleRatio:
    """Whether subjects fell into the arms as their weights say. `p_value` is always valid and decides; `chi_square_p`
    is the plain test's, for those who know it, and means nothing after many looks."""

    arms: tuple[RatioArm, ...]
    p_value: float | None
    chi_square_p: float | None
    state: RatioState
    sentence: str


@dataclass(frozen=True, slots=True)
class Planned:
    """How many subjects were planned for, and how many are measured. None: nothing was planned, or the present rate is
    not known."""

    needed: int | None
    reached: int
    days_left: float | None = None

    @property
    def share(self) -> float | None:
        """How much of it is reached, 0..1 and no more; None without a plan."""
        return min(1.0, self.reached / self.needed) if self.needed else None

    @property
    def is_reached(self) -> bool:
        """True when there is a plan and it is reached."""
        return self.needed is not None and self.reached >= self.needed


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that one look says. `primary` has one entry for each treatment; `guardrails` one for each guardrail
    and treatment. `notes` are sentences of warning. `method` names how the intervals are made."""

    at: datetime
    subjects: int
    arms: tuple[ArmFigures, ...]
    primary: tuple[Comparison, ...]
    guardrails: tuple[GuardrailFigures, ...]
    sample_ratio: SampleRatio
    planned: Planned
    sentence: str
    notes: tuple[str, ...] = ()
    method: str = ""

    @property
    def breached(self) -> tuple[GuardrailFigures, ...]:
        """The guardrails that are broken."""
        return tuple(one for one in self.guardrails if one.state is GuardrailState.BREACHED)

    @property
    def better(self) -> tuple[Comparison, ...]:
        """The treatments that beat the control on the primary metric."""
        return tuple(one for one in self.primary if one.verdict is Verdict.BETTER)

    @property
    def is_trustworthy(self) -> bool:
        """False when the sample ratio is broken: then no difference means anything."""
        return self.sample_ratio.state is not RatioState.BROKEN

    def as_dict(self) -> dict[str, Any]:
        """As JSON, complete; `from_dict` of it gives the same."""
        return dataclasses.asdict(self) | {"at": self.at.isoformat()}

    @classmethod
    def from_dict(cls, told: Mapping[str, Any]) -> Self:
        """From what `as_dict` gave. Raises KeyError, TypeError and ValueError for anything else."""
        ratio = dict(told["sample_ratio"])
        return cls(
            **{
                **told,
                "at": datetime.fromisoformat(told["at"]),
                "arms": tuple(ArmFigures(**one) for one in told["arms"]),
                "primary": tuple(Comparison(**{**one, "verdict": Verdict(one["verdict"])}) for one in told["primary"]),
                "guardrails": tuple(
                    GuardrailFigures(**{**one, "state": GuardrailState(one["state"])}) for one in told["guardrails"]
                ),
                "sample_ratio": SampleRatio(
                    **{
                        **ratio,
                        "arms": tuple(RatioArm(**one) for one in ratio["arms"]),
                        "state": RatioState(ratio["state"]),
                    }
                ),
                "planned": Planned(**told["planned"]),
                "notes": tuple(told["notes"]),
            }
        )
