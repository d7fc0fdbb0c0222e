"""What processes that serve live prompts ask for: whether something changed, and everything that is live."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import OuterRef, Subquery, Value
from django.db.models.functions import Coalesce

from apps.projects.models import Project
from apps.prompts.live import LivePrompt, Snapshot
from apps.prompts.models import LiveMark, Prompt
from apps.prompts.selectors.versions import live_versions


class Mark(NamedTuple):
    """What tells one state of a project's live prompts from the next."""

    number: int
    environments: tuple[str, ...]


def live_marks(project_ids: Iterable[int]) -> dict[int, Mark]:
    """The marks of these projects, in one query; one that is not there any more is left out."""
    number = LiveMark.objects.filter(project=OuterRef("pk")).values("number")[:1]
    rows = (
        Project.objects.filter(pk__in=list(project_ids))
        .annotate(
            live_number=Coalesce(Subquery(number), Value(0)),
            places=ArrayAgg("environments__slug", order_by=["environments__position", "environments__slug"]),
        )
        .values_list("pk", "live_number", "places")
    )
    return {pk: Mark(number, tuple(place for place in places if place)) for pk, number, places in rows}


def live_snapshot(project_id: int) -> Snapshot | None:
    """Everything that is live in the project, in three queries; None when there is no such project.

    The mark is read first: a change in between makes the snapshot newer than its number, and it is read once more.
    """
    mark = live_marks([project_id]).get(project_id)
    if mark is None:
        return None
    names: dict[str, str] = {}
    prompts = Prompt.objects.filter(project_id=project_id).values_list("name", "former_names")
    for name, former in prompts:
        names |= {other: names.get(other, name) for other in former}
        names[name] = name
    live = {
        (one.name, one.environment): LivePrompt(
            name=one.name,
            environment=one.environment,
            version=one.version,
            content_hash=one.content_hash,
            since=one.since,
            content=one.content,
            resolved=tuple(one.resolved),
        )
        for one in live_versions(project_id)
    }
    return Snapshot(mark.number, mark.environments, names, live)
