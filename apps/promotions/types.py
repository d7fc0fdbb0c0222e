"""What passes between modules of promotions: states, kinds, and small values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PromotionState(StrEnum):
    """Where a promotion stands. The ones after `approved` are ends, except that a refused one can be checked anew."""

    CHECKING = "checking"
    """Its gates are waiting for their runs."""
    REFUSED = "refused"
    """A gate failed, could not tell, or there is none."""
    WAITING = "waiting"
    """Every gate passed; somebody has to decide."""
    APPROVED = "approved"
    """For an experiment: it may be an arm. Those that go live do so in the same moment."""
    LIVE = "live"
    """It was made live. What is live now is told by deployments."""
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    VOID = "void"
    """What it was judged by changed, or something else went live meanwhile."""

    @property
    def is_open(self) -> bool:
        """True while it can still become live."""
        return self in OPEN


OPEN = frozenset({PromotionState.CHECKING, PromotionState.REFUSED, PromotionState.WAITING})


class PromotionKind(StrEnum):
    """How it may become live: by its gates, or by two people who answer for going without."""

    PROMOTION = "promotion"
    OVERRIDE = "override"


class Purpose(StrEnum):
    """What is asked for: all traffic of the environment, or to be an arm of an experiment there."""

    LIVE = "live"
    EXPERIMENT = "experiment"


class PromotionOrigin(StrEnum):
    """The way by which it was asked for."""

    PAGE = "page"
    API = "api"
    CLI = "cli"
    GIT = "git"
    EXPERIMENT = "experiment"
    SAMPLE = "sample"


class CheckState(StrEnum):
    """What one gate said of a promotion so far."""

    WAITING = "waiting"
    PASSED = "passed"
    FAILED = "failed"
    CANNOT_TELL = "cannot_tell"


class DecisionKind(StrEnum):
    """What somebody decided."""

    APPROVED = "approved"
    REJECTED = "rejected"


class MeasureState(StrEnum):
    """Whether the stopwatch of a rollback still runs."""

    MEASURING = "measuring"
    MEASURED = "measured"


class DrillState(StrEnum):
    """How a rehearsal of a rollback went."""

    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"


class WatchState(StrEnum):
    """Whether what went live is still looked after."""

    WATCHING = "watching"
    HEALTHY = "healthy"
    BREACHED = "breached"
    ENDED = "ended"
    """Something else went live before it was over."""


class ExperimentState(StrEnum):
    """Where an experiment stands."""

    DRAFT = "draft"
    RUNNING = "running"
    STOPPED = "stopped"
    """By a person or a guardrail, without a winner."""
    FINISHED = "finished"
    """A winner was named."""


class Unit(StrEnum):
    """By whom an experiment splits the traffic."""

    USER = "user"
    SESSION = "session"


@dataclass(frozen=True, slots=True)
class CandidateName:
    """A version of a prompt on a model, in words. An empty model is the version's own."""

    prompt: str
    version: str
    model: str = ""

    def __str__(self) -> str:
        on = f" on {self.model}" if self.model else ""
        return f"{self.prompt} {self.version}{on}"
