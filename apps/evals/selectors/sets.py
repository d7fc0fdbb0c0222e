"""Reads of eval sets and their revisions. The project comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Q

from apps.core.errors import NotFound
from apps.evals.examples import NOT_IN_TEXT
from apps.evals.models import EvalRun, EvalSet, GateReport, Revision
from apps.evals.selectors.examples import examples_at as examples_at
from apps.evals.selectors.examples import stream_examples as stream_examples
from apps.projects.models import Project

PAGE_SIZE = 50


def get_set(project: Project, slug: str) -> EvalSet:
    """The project's set of this slug, archived or not. Raises NotFound."""
    found = None if NOT_IN_TEXT.search(slug) else EvalSet.objects.filter(project=project, slug=slug).first()
    if found is None:
        raise NotFound("There is no such eval set in this project.")
    return found


@dataclass(frozen=True, slots=True)
class SetLine:
    """A set as lists show it: with its newest revision and the last run over it."""

    eval_set: EvalSet
    revision: Revision | None
    run: EvalRun | None
    verdict: str
    """What the last gate report of that run said; empty without one."""

    @property
    def examples(self) -> int:
        """How many it holds now."""
        return 0 if self.revision is None else self.revision.examples

    @property
    def approved(self) -> int:
        """How many of them somebody stands behind."""
        return 0 if self.revision is None else self.revision.approved


@dataclass(frozen=True, slots=True)
class SetPage:
    """A part of the list, and the slug after which the next part begins."""

    items: list[SetLine]
    next: str | None


def list_sets(
    project: Project, *, text: str = "", with_archived: bool = False, after: str = "", limit: int = PAGE_SIZE
) -> SetPage:
    """Sets in the order of their slugs. Four queries, however many there are."""
    rows = EvalSet.objects.filter(project=project).order_by("slug")
    if NOT_IN_TEXT.search(text + after):
        return SetPage([], None)
    if not with_archived:
        rows = rows.filter(archived_at=None)
    for word in text.split()[:10]:
        rows = rows.filter(Q(slug__icontains=word) | Q(name__icontains=word) | Q(feature__icontains=word))
    if after:
        rows = rows.filter(slug__gt=after)
    found = list(rows[: limit + 1])
    lines = set_lines(found[:limit])
    return SetPage(lines, found[limit - 1].slug if len(found) > limit else None)


def set_lines(sets: Sequence[EvalSet]) -> list[SetLine]:
    """The sets with what lists show beside them."""
    ids = [one.pk for one in sets]
    heads = Revision.objects.filter(eval_set__in=ids, number=F("eval_set__head"))
    revisions = {one.eval_set_id: one for one in heads}
    newest = EvalRun.objects.filter(eval_set__in=ids).order_by("eval_set_id", "-created_at").distinct("eval_set_id")
    runs = {one.eval_set_id: one for one in newest.defer("content", "summary", "estimate")}
    reports = GateReport.objects.filter(run__in=[one.pk for one in runs.values()]).order_by("run_id", "-made_at")
    verdicts = dict(reports.distinct("run_id").values_list("run_id", "verdict"))
    lines = []
    for one in sets:
        run = runs.get(one.pk)
        verdict = "" if run is None else verdicts.get(run.pk, "")
        lines.append(SetLine(one, revisions.get(one.pk), run, verdict))
    return lines


def choosable_sets(project: Project, limit: int = 500) -> list[EvalSet]:
    """Sets that examples can be put into, in the order of their names."""
    return list(EvalSet.objects.filter(project=project, archived_at=None).order_by("name", "slug")[:limit])


def newest_revision(eval_set: EvalSet) -> Revision | None:
    """The revision at the set's head; None before the first."""
    return Revision.objects.filter(eval_set=eval_set, number=eval_set.head).first()


def get_revision(eval_set: EvalSet, number: int) -> Revision:
    """The set's revision of this number. Raises NotFound."""
    found = Revision.objects.filter(eval_set=eval_set, number=number).first() if 0 < number < 2**31 else None
    if found is None:
        raise NotFound(f"{eval_set.slug} has no revision {number}.")
    return found


def list_revisions(eval_set: EvalSet, *, before: int | None = None, limit: int = PAGE_SIZE) -> list[Revision]:
    """Revisions, newest first; with `before`, those older than that number."""
    rows = Revision.objects.filter(eval_set=eval_set).order_by("-number")
    if before is not None:
        rows = rows.filter(number__lt=min(before, 2**31 - 1))
    return list(rows[:limit])
