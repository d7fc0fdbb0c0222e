"""Reads of scorers and their versions. The project comes first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F

from apps.core.errors import Invalid, NotFound
from apps.evals.models import Scorer, ScorerVersion
from apps.evals.scoring.kinds import ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.types import ScorerChoice
from apps.projects.models import Project


@dataclass(frozen=True, slots=True)
class ScorerLine:
    """A scorer as lists show it: with its newest version, and its kind, None when that is not installed any more."""

    scorer: Scorer
    version: ScorerVersion
    kind: ScorerKind | None


def get_scorer(project: Project, slug: str) -> Scorer:
    """The project's scorer with this slug, archived or not. Raises NotFound."""
    found = Scorer.objects.select_related("project").filter(project=project, slug=slug).first()
    if found is None:
        raise NotFound(f"There is no scorer {slug} in this project.")
    return found


def list_scorers(project: Project, *, with_archived: bool = False) -> list[ScorerLine]:
    """The project's scorers with their newest versions, in the order of their names."""
    rows = ScorerVersion.objects.filter(project=project, scorer__project=project, number=F("scorer__head"))
    if not with_archived:
        rows = rows.filter(scorer__archived_at=None)
    found = rows.select_related("scorer", "scorer__project").order_by("scorer__name", "scorer__slug")
    return [ScorerLine(row.scorer, row, KINDS.get(row.scorer.kind)) for row in found]


def line_of(scorer: Scorer) -> ScorerLine:
    """One scorer as lists show it."""
    return ScorerLine(scorer, get_version(scorer), KINDS.get(scorer.kind))


def get_version(scorer: Scorer, number: int | None = None) -> ScorerVersion:
    """A version of the scorer; None: the newest. Raises NotFound."""
    wanted = scorer.head if number is None else number
    found = ScorerVersion.objects.select_related("scorer", "scorer__project").filter(scorer=scorer, number=wanted)
    for version in found:
        return version
    raise NotFound(f"The scorer {scorer.slug} has no version {wanted}.")


def list_versions(scorer: Scorer) -> list[ScorerVersion]:
    """Every version of the scorer, newest first."""
    rows = list(ScorerVersion.objects.filter(scorer=scorer).order_by("-number"))
    for row in rows:
        row.scorer = scorer
    return rows


def resolve_choices(project: Project, choices: Sequence[ScorerChoice]) -> list[tuple[ScorerVersion, float]]:
    """The versions that were chosen, each with the value from which on an example passes, in the order given.

    A scorer that is chosen twice counts once, the first time. Raises Invalid (`scorers`) with a sentence for each that
    there is not, that is archived, or whose kind is not installed.
    """
    slugs = {choice.slug for choice in choices}
    scorers = {row.slug: row for row in Scorer.objects.filter(project=project, slug__in=slugs)}
    rows = ScorerVersion.objects.filter(scorer__in=scorers.values()).select_related("scorer", "scorer__project")
    versions = {(row.scorer.slug, row.number): row for row in rows}
    found: dict[tuple[str, int], tuple[ScorerVersion, float]] = {}
    wrong: list[str] = []
    for choice in choices:
        scorer = scorers.get(choice.slug)
        number = (scorer.head if scorer is not None else 0) if choice.version is None else choice.version
        version = versions.get((choice.slug, number))
        fault = _fault(choice, scorer, version)
        if fault:
            wrong.append(fault)
        elif version is not None:
            threshold = version.pass_mark if choice.threshold is None else choice.threshold
            found.setdefault((choice.slug, number), (version, threshold))
    if wrong:
        raise Invalid(" ".join(wrong), scorers=wrong)
    return list(found.values())


def _fault(choice: ScorerChoice, scorer: Scorer | None, version: ScorerVersion | None) -> str:
    """Why the choice cannot be used, empty when it can."""
    if scorer is None:
        return f"There is no scorer {choice.slug} in this project."
    if version is None:
        return f"The scorer {choice.slug} has no version {choice.version}; its newest is {scorer.head}."
    if scorer.archived_at is not None:
        return f"The scorer {choice.slug} is archived. Restore it, or choose another one."
    if scorer.kind not in KINDS:
        return f"The scorer {choice.slug} is of the kind {scorer.kind}, which is not installed here."
    if choice.threshold is not None and not 0.0 <= choice.threshold <= 1.0:
        return f"The threshold of {choice.slug} must lie between 0 and 1."
    return ""
