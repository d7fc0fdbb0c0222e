"""Reading what a project keeps of its telemetry, how long, and what was erased."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Max, Q

from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.telemetry.masking import CAPTURE_ON, OwnRule, Rules
from apps.telemetry.models import Erasure, MaskingSettings, RetentionSettings

DEFAULT_COST_DAYS = Project.MAX_RETENTION_DAYS
MOST_ERASURES = 100


@dataclass(frozen=True)
class Ages:
    """For how many days a project keeps what: a row is deleted with the first whole UTC day that is older.

    Payloads are contents and attributes, with what makes them searchable; spans are the rows that lists and figures of
    traces read; the account is what became of each request.
    """

    payload_days: int
    span_days: int
    cost_days: int
    score_days: int
    account_days: int

    def first_day(self, name: str, *, now: datetime) -> date:
        """The first UTC day that is kept of what has this age."""
        return (now - timedelta(days=int(getattr(self, name)))).date()

    def shorter_than(self, other: Ages) -> bool:
        """True when something is kept for less time than with the other."""
        return any(getattr(self, name) < getattr(other, name) for name in self.__dataclass_fields__)


def ages_of(project: Project, held: RetentionSettings | None = None) -> Ages:
    """The project's ages in force. What was not set follows the spans; cost records are kept for ten years."""
    held = held or RetentionSettings.objects.filter(pk=project.pk).first() or RetentionSettings(project_id=project.pk)
    spans = project.retention_days
    return Ages(
        payload_days=min(held.payload_days or spans, spans),
        span_days=spans,
        cost_days=max(held.cost_days or DEFAULT_COST_DAYS, spans),
        score_days=held.score_days or spans,
        account_days=held.account_days or spans,
    )


def all_ages() -> dict[int, Ages]:
    """The ages of every project that there is."""
    held = {row.project_id: row for row in RetentionSettings.objects.all()}
    return {
        project.pk: ages_of(project, held.get(project.pk) or RetentionSettings(project_id=project.pk))
        for project in Project.objects.only("pk", "retention_days")
    }


def masking_settings(project_id: int) -> MaskingSettings:
    """The project's settings; those that change nothing when it has none."""
    return MaskingSettings.objects.filter(pk=project_id).first() or MaskingSettings(project_id=project_id)


def rules_of(held: MaskingSettings) -> Rules:
    """The settings as rules."""
    return Rules(
        kinds=tuple(held.kinds),
        own=tuple(OwnRule(rule["name"], rule["pattern"]) for rule in held.own),
        capture=held.capture or CAPTURE_ON,
        hashes_users=held.hashes_users,
    )


def pepper_of(project_id: int, purpose: str) -> bytes:
    """The project's key for digests of one purpose. It follows from the installation's encryption key."""
    message = f"prodworthy {purpose} {project_id}".encode()
    return hmac.new(settings.ENCRYPTION_KEY.encode(), message, hashlib.sha256).digest()


def user_digest(project_id: int, user_id: str) -> bytes:
    """What a receipt says in place of a user's id: whoever knows the id, and the key, can tell that it was meant."""
    return hmac.new(pepper_of(project_id, "erasure"), user_id.encode("utf-8", "replace"), hashlib.sha256).digest()


def list_erasures(project_id: int, *, limit: int = MOST_ERASURES, before: int | None = None) -> list[Erasure]:
    """The project's erasures, newest first; before the one with that number, if given."""
    found = Erasure.objects.filter(project_id=project_id)
    if before is not None:
        found = found.filter(pk__lt=before)
    return list(found.order_by("-pk")[:limit])


def get_erasure(project_id: int, uuid: UUID) -> Erasure:
    """One erasure of the project. Raises NotFound."""
    found = Erasure.objects.filter(project_id=project_id, uuid=uuid).first()
    if found is None:
        raise NotFound()
    return found


def open_erasures(*, now: datetime) -> list[Erasure]:
    """The erasures of all projects that are not finished and that nobody is at, oldest first."""
    free = Q(leased_until=None) | Q(leased_until__lt=now)
    return list(Erasure.objects.filter(free, finished_at=None).order_by("pk"))


def newest_erasure(project_id: int) -> int:
    """The number of the project's newest erasure, 0 when it has none."""
    return Erasure.objects.filter(project_id=project_id).aggregate(Max("pk"))["pk__max"] or 0
