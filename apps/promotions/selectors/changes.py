"""Reads of everything that changed before a moment: what went live, prices, providers, gates, and first calls."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Exists, Min, OuterRef
from django.utils.translation import gettext as _

from apps.projects.models import AuditEntry, Feature, Project
from apps.promotions.change_words import FIRST_CALL, WORDS, Change, change_of, is_about, sentence_of
from apps.promotions.selectors.deployments import Where, read_timeline
from apps.telemetry.models import CostHourSlice

MOST = 100
FEATURES_OFFERED = 500


@dataclass(frozen=True, slots=True)
class Changes:
    """What changed, nearest to the moment first. With `is_cut` there was more."""

    items: tuple[Change, ...]
    is_cut: bool

    @property
    def deployed(self) -> int:
        """How many of them changed what callers get."""
        return sum(one.event is not None for one in self.items)

    @property
    def nearest(self) -> Change | None:
        """The last thing that changed what callers get, or else the last one of all."""
        deployed = next((one for one in self.items if one.event is not None), None)
        return deployed or next(iter(self.items), None)


def changes_before(project: Project, where: Where, *, at: datetime) -> Changes:
    """Everything that changed between `where.since` and `at`, as far as it is about the place that `where` names."""
    timeline = read_timeline(project, where, limit=MOST)
    found = [change_of(event, at) for event in timeline.events]
    entries, more = _entries(project, where, at)
    found += entries
    found += _first_calls(project, where, at)
    found.sort(key=lambda one: one.ahead)
    return Changes(tuple(found[:MOST]), bool(timeline.next) or more or len(found) > MOST)


def _entries(project: Project, where: Where, at: datetime) -> tuple[list[Change], bool]:
    rows = AuditEntry.objects.filter(project_id=project.pk, action__in=list(WORDS), at__lte=at)
    if where.since is not None:
        rows = rows.filter(at__gte=where.since)
    read = list(rows.order_by("-number")[: MOST + 1])
    changes = []
    for entry in read[:MOST]:
        fits = is_about(
            entry.target_kind,
            entry.target_name,
            entry.details,
            prompt=where.prompt,
            environment=where.environment,
        )
        if fits:
            icon, sentence = sentence_of(entry.action, entry.target_name)
            changes.append(
                Change(
                    entry.at,
                    at - entry.at,
                    entry.action,
                    icon,
                    "",
                    sentence,
                    entry.details_in_words[:300],
                    entry.actor_name,
                )
            )
    return changes, len(read) > MOST


def _first_calls(project: Project, where: Where, at: datetime) -> list[Change]:
    """Models that were called for the first time, to the hour; nothing where no call is older than the stretch."""
    if where.since is None:
        return []
    start = where.since.replace(minute=0, second=0, microsecond=0)
    rows = CostHourSlice.objects.filter(project_id=project.pk, dimension="model")
    if where.environment:
        rows = rows.filter(environment=where.environment)
    earlier = rows.filter(hour__lt=start)
    fresh = rows.filter(~Exists(earlier.filter(value=OuterRef("value"))), Exists(earlier), hour__range=(start, at))
    firsts = fresh.exclude(value="").values("value").annotate(first=Min("hour")).order_by("-first")[:MOST]
    return [
        Change(
            at=row["first"],
            ahead=max(at - row["first"], timedelta(0)),
            kind=FIRST_CALL,
            icon="play",
            tone="",
            sentence=_("First calls of %(model)s") % {"model": row["value"]},
            details=_("within this hour"),
        )
        for row in firsts
    ]


def feature_slugs(project: Project) -> list[str]:
    """The project's features, in the order of their names."""
    return list(
        Feature.objects.filter(project=project).order_by("slug").values_list("slug", flat=True)[:FEATURES_OFFERED]
    )
