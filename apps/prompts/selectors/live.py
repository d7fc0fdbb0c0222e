"""What processes that serve live prompts ask for: whether something changed, and everything that is live."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple
from uuid import UUID

from django.contrib.postgres.aggregates import ArrayAgg
from django.db.models import OuterRef, Q, Subquery, Value
from django.db.models.functions import Coalesce

from apps.core.errors import Invalid
from apps.projects.models import Project
from apps.prompts.live import Arm, LivePrompt, LiveSplit, Snapshot
from apps.prompts.models import Deployment, LiveMark, Prompt, Split, SplitArm, Version
from apps.prompts.selectors.versions import live_versions
from apps.prompts.semver import Number
from apps.prompts.splitting import Splitting


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


MOST_READS = 5
"""How often a project is read anew because it changed while it was read."""


def live_snapshot(project_id: int) -> Snapshot | None:
    """Everything that is live in the project, in five queries; None when there is no such project.

    The mark is read first and last: deployments and splits that were read in between belong together when it is still
    the same. Where it never is, the number is the older one, so that the project is read once more soon.
    """
    mark = live_marks([project_id]).get(project_id)
    found: Snapshot | None = None
    for _ in range(MOST_READS):
        if mark is None:
            return None
        found = _read(project_id, mark)
        after = live_marks([project_id]).get(project_id)
        if after == mark:
            break
        mark = after
    return found


def _read(project_id: int, mark: Mark) -> Snapshot:
    names: dict[str, str] = {}
    prompts = Prompt.objects.filter(project_id=project_id).values_list("name", "former_names")
    for name, former in prompts:
        names |= {other: names.get(other, name) for other in former}
        names[name] = name
    splits = live_splits(project_id)
    live = {
        (one.name, one.environment): LivePrompt(
            name=one.name,
            environment=one.environment,
            version=one.version,
            content_hash=one.content_hash,
            since=one.since,
            content=one.content,
            resolved=tuple(one.resolved),
            model=one.model,
            split=splits.get((one.name, one.environment)),
        )
        for one in live_versions(project_id)
    }
    return Snapshot(mark.number, mark.environments, names, live)


def live_splits(project_id: int) -> dict[tuple[str, str], LiveSplit]:
    """The splits that are open in the project by prompt and environment, ready to be served, in one query."""
    # A ramp ends one row and begins the next; an arm is there since the first of them.
    began = (
        Split.objects.filter(prompt=OuterRef("split__prompt"), environment=OuterRef("split__environment"))
        .filter(salt=OuterRef("split__salt"))
        .order_by("started_at")
        .values("started_at")[:1]
    )
    rows = (
        SplitArm.objects.select_related("split__prompt", "split__environment", "version")
        .filter(split__project_id=project_id, split__ended_at=None)
        .annotate(since=Subquery(began))
        .order_by("split_id", "position")
    )
    return {
        (arms[0].split.prompt.name, arms[0].split.environment.slug): _served(arms[0].split, arms)
        for _, group in groupby(rows, key=attrgetter("split_id"))
        for arms in [list(group)]
    }


def _served(split: Split, arms: Sequence[SplitArm]) -> LiveSplit:
    return LiveSplit(
        Splitting(
            salt=split.salt,
            share=split.share,
            weights=tuple(arm.weight for arm in arms),
            excluded=frozenset(split.excluded),
            layer=split.layer,
            layer_from=split.layer_from,
        ),
        tuple(
            LivePrompt(
                name=split.prompt.name,
                environment=split.environment.slug,
                version=str(arm.version.number),
                content_hash=arm.version.content_hash,
                since=arm.since,  # type: ignore[attr-defined]
                content=arm.version.content,
                resolved=tuple(arm.version.resolved),
                model=arm.model,
                arm=Arm(split.experiment, arm.name, split.unit),
            )
            for arm in arms
        ),
    )


class DeploymentPage(NamedTuple):
    """Some of what is and was live, newest first. `next` is the cursor to go on with, None at the end."""

    items: list[Deployment]
    next: str | None


def deployments_page(
    prompt: Prompt, *, environment: str = "", cursor: UUID | None = None, limit: int
) -> DeploymentPage:
    """What of the prompt is and was live. Raises Invalid for a cursor that is none of the prompt's."""
    rows = Deployment.objects.select_related("environment", "version").filter(prompt=prompt)
    if environment:
        rows = rows.filter(environment__slug=environment)
    if cursor is not None:
        last = Deployment.objects.filter(prompt=prompt, uuid=cursor).first()
        if last is None:
            raise Invalid(cursor=["Use the cursor of the page before."])
        rows = rows.filter(Q(started_at__lt=last.started_at) | Q(started_at=last.started_at, pk__lt=last.pk))
    found = list(rows[: limit + 1])
    shown = found[:limit]
    return DeploymentPage(shown, str(shown[-1].uuid) if len(found) > limit else None)


class VersionLine(NamedTuple):
    """A version without what it says: its number, since when it is published, and where it is live."""

    number: str
    at: datetime
    live_in: tuple[str, ...]


def list_version_lines(prompt: Prompt, *, limit: int) -> list[VersionLine]:
    """The prompt's versions, newest first, in one query that reads no content."""
    rows = (
        Version.objects.filter(prompt=prompt)
        .annotate(
            places=ArrayAgg(
                "deployments__environment__slug",
                filter=Q(deployments__isnull=False, deployments__ended_at=None),
                order_by=["deployments__environment__position", "deployments__environment__slug"],
            )
        )
        .order_by("-major", "-minor", "-patch")
        .values_list("major", "minor", "patch", "published_at", "places")
    )
    return [
        VersionLine(str(Number(major, minor, patch)), at, tuple(places or ()))
        for major, minor, patch, at, places in rows[:limit]
    ]
