"""How far a sample project is filled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from apps.accounts.models import User
from apps.projects.models import Project, Role
from apps.telemetry.models import SampleLoad


@dataclass(frozen=True, slots=True)
class SampleState:
    """How many of the calls are there, and whether everything is done."""

    calls: int
    calls_loaded: int
    ends_at: datetime
    is_ready: bool

    @property
    def is_adding_up(self) -> bool:
        """All calls are there, and their cost records are being written."""
        return not self.is_ready and self.calls_loaded == self.calls

    @property
    def share(self) -> float:
        """0 to 1."""
        return self.calls_loaded / self.calls if self.calls else 1.0


def sample_state(project_id: int) -> SampleState | None:
    """The state of a sample project; None for any other."""
    load = SampleLoad.objects.filter(project_id=project_id).first()
    if load is None:
        return None
    return SampleState(load.calls, load.calls_loaded, load.ends_at, load.finished_at is not None)


def find_sample(owner: User) -> Project | None:
    """The sample project that this person has, being its admin."""
    own = Project.objects.filter(is_sample=True, memberships__user=owner, memberships__role=Role.ADMIN)
    return own.order_by("pk").first()


def list_stalled_samples(*, now: datetime) -> list[int]:
    """The sample projects that are not ready and that nobody is filling."""
    free = Q(leased_until=None) | Q(leased_until__lte=now)
    return list(SampleLoad.objects.filter(free, finished_at=None).order_by("pk").values_list("project_id", flat=True))
