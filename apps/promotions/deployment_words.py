"""What is live and what happened to it, as values that pages and the API show. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from apps.core import formats


class EventKind(StrEnum):
    """How something came to be live, or ceased to be."""

    DEPLOY = "deploy"
    PROMOTION = "promotion"
    OVERRIDE = "override"
    ROLLBACK = "rollback"
    AUTOMATIC = "automatic"
    DRILL = "drill"
    WITHDRAWN = "withdrawn"
    STARTED = "started"
    RAMPED = "ramped"
    STOPPED = "stopped"


SPLIT_KINDS = frozenset({EventKind.STARTED, EventKind.RAMPED, EventKind.STOPPED})


@dataclass(frozen=True, slots=True)
class Candidate:
    """A version on a model (empty: the version's own)."""

    version: str
    model: str = ""

    def __str__(self) -> str:
        return f"{self.version} on {self.model}" if self.model else self.version


def part_told(parts: int) -> str:
    """So many of 10,000 as a percentage without empty places: `5 %`, `12.5 %`."""
    places = 0 if parts % 100 == 0 else 1 if parts % 10 == 0 else 2
    return formats.percent(parts / 10_000, places)


@dataclass(frozen=True, slots=True)
class ArmSaid:
    """An arm of a split. `weight` is of 10,000 of those who take part."""

    name: str
    candidate: Candidate
    weight: int

    @property
    def part(self) -> str:
        """Of those who take part, in words: `50 %`."""
        return part_told(self.weight)


@dataclass(frozen=True, slots=True)
class SplitSaid:
    """A split of the traffic. `share` is of 10,000 users or sessions."""

    experiment: str
    unit: str
    share: int
    arms: tuple[ArmSaid, ...]

    @property
    def part(self) -> str:
        """Of all subjects, in words: `5 %`."""
        return part_told(self.share)


@dataclass(frozen=True, slots=True)
class ReportSaid:
    """A gate report: its uuid and the gate's name."""

    id: str
    gate: str


@dataclass(frozen=True, slots=True)
class EvidenceSaid:
    """What let a version in: a promotion with its gate reports, or that it was live before."""

    promotion: int | None = None
    is_override: bool = False
    reports: tuple[ReportSaid, ...] = ()
    returns_to: datetime | None = None
    """When what it returns to had gone live."""
    rollback: str | None = None
    """The rollback that made it live again, by its uuid."""


@dataclass(frozen=True, slots=True)
class LiveLine:
    """What an environment answers for a prompt, or did until then."""

    id: str
    prompt: str
    feature: str
    environment: str
    is_protected: bool
    candidate: Candidate
    before: Candidate | None
    since: datetime
    until: datetime | None
    by: str
    by_kind: str
    reason: str
    kind: EventKind
    content_hash: str
    evidence: EvidenceSaid
    split: SplitSaid | None


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to what callers get. `line` is the deployment; for a split it is None."""

    key: str
    kind: EventKind
    at: datetime
    prompt: str
    environment: str
    by: str
    reason: str = ""
    candidate: Candidate | None = None
    line: LiveLine | None = None
    split: SplitSaid | None = None
    share_before: int | None = None

    @property
    def part_before(self) -> str:
        """The share before a ramp, in words; empty for anything else."""
        return "" if self.share_before is None else part_told(self.share_before)


LOOKS = {
    EventKind.DEPLOY: ("ship", ""),
    EventKind.PROMOTION: ("box-pass", "is-pass"),
    EventKind.OVERRIDE: ("warn", "is-warn"),
    EventKind.ROLLBACK: ("left", "is-warn"),
    EventKind.AUTOMATIC: ("left", "is-fail"),
    EventKind.DRILL: ("reload", ""),
    EventKind.WITHDRAWN: ("x", "is-fail"),
    EventKind.STARTED: ("chart", "is-pass"),
    EventKind.RAMPED: ("chart", ""),
    EventKind.STOPPED: ("slash", ""),
}
"""Icon and tone of each kind."""
