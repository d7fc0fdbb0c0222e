"""Reading projections: lists, one, the approved one, and how it compares with what was spent."""

from __future__ import annotations

import calendar
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from apps.accounts.models import User
from apps.budgets.models import Projection
from apps.budgets.projecting import Numbers, Sampled
from apps.budgets.projection_drift import ActualDay, Comparison, compare
from apps.budgets.selectors.projection_inputs import several_actual_days
from apps.core.errors import NotFound
from apps.projects.models import Membership, Project
from apps.projects.types import Role
from apps.providers.rates import rates_from_json

MOST_LISTED = 50
MOST_MONTHS = 12
State = Literal["approved", "drifted", "expired", "none"]


@dataclass(frozen=True)
class Approval:
    """The newest approved projection of a feature in an environment, and whether it still holds."""

    state: State
    projection: Projection | None
    comparison: Comparison | None


class Line(NamedTuple):
    """A projection in the list: its newest revision, and the comparison where one is approved."""

    projection: Projection
    approved: Projection | None
    comparison: Comparison | None
    waits_for_me: bool


def get_projection(project: Project, projection: uuid.UUID) -> Projection:
    """One revision of the project's. Raises NotFound."""
    found = Projection.objects.select_related("author", "decided_by", "project").filter(
        project=project, uuid=projection
    )
    one = found.first()
    if one is None:
        raise NotFound
    return one


def with_revisions(project: Project, projection: uuid.UUID) -> tuple[Projection, list[Projection]]:
    """One revision and all of the same projection, newest first, in one query. Raises NotFound."""
    lineage = Projection.objects.filter(project=project, uuid=projection).values("lineage")
    rows = Projection.objects.select_related("decided_by").filter(project=project, lineage__in=lineage)
    revisions = list(rows.order_by("-revision"))
    found = next((one for one in revisions if one.uuid == projection), None)
    if found is None:
        raise NotFound
    return found, revisions


def revisions_of(projection: Projection) -> list[Projection]:
    """All revisions of the same projection, newest first."""
    rows = Projection.objects.filter(project_id=projection.project_id, lineage=projection.lineage)
    return list(rows.defer("sample", "inputs", "price").order_by("-revision"))


def newest_projections(project: Project, *, limit: int = MOST_LISTED) -> list[Projection]:
    """The newest revision of each, newest first."""
    rows = Projection.objects.filter(project=project).order_by("lineage", "-revision").distinct("lineage")
    newest = rows.values("pk")
    return list(Projection.objects.filter(pk__in=newest).defer("sample").order_by("-created_at")[:limit])


def list_lines(project: Project, *, person: User, role: Role, now: datetime) -> list[Line]:
    """The newest revision of each, with the newest approved revision's comparison, in a fixed number of queries."""
    newest = newest_projections(project)
    lineages = [one.lineage for one in newest]
    rows = Projection.objects.filter(project=project, lineage__in=lineages, state=Projection.State.APPROVED)
    approved = {one.lineage: one for one in rows.order_by("lineage", "revision").defer("sample")}
    compared = compare_with_actual(project, approved.values(), now=now)
    lines = []
    for one in newest:
        held = approved.get(one.lineage)
        waits = one.state == Projection.State.ASKED and why_may_not_decide(one, person, role) is None
        lines.append(Line(one, held, compared.get(held.pk) if held else None, waits))
    return lines


def latest_approved(project: Project, feature: str, environment: str, now: datetime) -> Approval:
    """Whether a month's cost of the feature in the environment was projected, approved, and still holds.

    `drifted`: this month, or the last one while this one has too few days, lies outside of its interval.
    """
    rows = Projection.objects.filter(
        project=project, feature=feature, environment=environment, state=Projection.State.APPROVED
    )
    found = rows.order_by("-decided_at", "-id").first()
    if found is None:
        return Approval("none", None, None)
    comparison = compare_with_actual(project, [found], now=now).get(found.pk)
    if found.valid_until is not None and found.valid_until <= now:
        return Approval("expired", found, comparison)
    drifted = comparison is not None and comparison.has_drifted
    return Approval("drifted" if drifted else "approved", found, comparison)


def current_approved(project: Project, *, now: datetime) -> list[Projection]:
    """The newest approved projection of each feature and environment that has not expired."""
    rows = Projection.objects.filter(project=project, state=Projection.State.APPROVED, valid_until__gt=now)
    newest = rows.order_by("feature", "environment", "-decided_at", "-id").distinct("feature", "environment")
    return list(newest.defer("sample"))


def projects_with_approved(*, now: datetime) -> list[Project]:
    """The projects that have any."""
    rows = Projection.objects.filter(state=Projection.State.APPROVED, valid_until__gt=now)
    return list(Project.objects.filter(pk__in=rows.values("project_id")).order_by("pk"))


def compare_with_actual(
    project: Project, projections: Iterable[Projection], *, now: datetime
) -> dict[int, Comparison | None]:
    """Each approved projection against what its scope cost on the full days of this month since it was approved; of
    the last month, where this one has too few days. In two queries."""
    those = list(projections)
    days = several_actual_days(project, [_scope_to_compare(project, one, now) for one in those])
    return {one.pk: _compared(one, each) for one, each in zip(those, days, strict=True)}


def _compared(projection: Projection, days: Sequence[ActualDay]) -> Comparison | None:
    rates = rates_from_json(projection.price["rates"]).at(projection.created_at)
    return compare(numbers_of(projection), rates, days)


def _scope_to_compare(project: Project, projection: Projection, now: datetime) -> tuple[str, str, date, date]:
    return (projection.feature, projection.environment, *_days_to_compare(project, projection, now))


def _days_to_compare(project: Project, projection: Projection, now: datetime) -> tuple[date, date]:
    today = now.astimezone(ZoneInfo(project.timezone)).date()
    since = _first_full_day(project, projection)
    this_month = today.replace(day=1)
    if (today - max(this_month, since)).days >= 3 or since >= this_month:
        return min(max(this_month, since), today), today
    return max((this_month - timedelta(days=1)).replace(day=1), since), this_month


class Course(NamedTuple):
    """What became of an approved projection."""

    comparison: Comparison | None
    days: list[ActualDay]
    months: list[Comparison]


def course_of(project: Project, projection: Projection, *, now: datetime) -> Course:
    """The comparison, this calendar month by days (those to come have no calls, today's are of a part), and each month
    since the approval with its full days, newest first. In two queries."""
    today = now.astimezone(ZoneInfo(project.timezone)).date()
    first = today.replace(day=1)
    spans = [
        _days_to_compare(project, projection, now),
        (first, _next_month(first)),
        *_months(project, projection, today),
    ]
    found = several_actual_days(project, [(projection.feature, projection.environment, *span) for span in spans])
    months = [compared for days in found[2:] if (compared := _compared(projection, days)) is not None]
    return Course(_compared(projection, found[0]), found[1], months)


def _months(project: Project, projection: Projection, today: date) -> list[tuple[date, date]]:
    """The full days of each month since the approval, newest first."""
    since = _first_full_day(project, projection)
    spans: list[tuple[date, date]] = []
    end = today
    while end > since and len(spans) < MOST_MONTHS:
        first = (end - timedelta(days=1)).replace(day=1)
        spans.append((max(first, since), end))
        end = first
    return spans


def _next_month(first: date) -> date:
    return first + timedelta(days=calendar.monthrange(first.year, first.month)[1])


def _first_full_day(project: Project, projection: Projection) -> date:
    decided = projection.decided_at or projection.created_at
    return decided.astimezone(ZoneInfo(project.timezone)).date() + timedelta(days=1)


def numbers_of(projection: Projection) -> Numbers:
    """Its frozen numbers."""
    return Numbers.of_json(projection.numbers)


def sample_of(projection: Projection) -> Sequence[Sampled]:
    """Its frozen sample."""
    return [Sampled(*counts) for counts in projection.sample]


def role_of(project: Project, person: User | None) -> Role | None:
    """The person's role at this moment; None for who is no member or whose account is off."""
    if person is None:
        return None
    found = Membership.objects.filter(project=project, user_id=person.pk, user__is_active=True)
    role = found.values_list("role", flat=True).first()
    return None if role is None else Role(role)


def why_may_not_decide(projection: Projection, person: User | None, role: Role | None) -> str | None:
    """Why the person may not approve or reject it, as a sentence that says what to do; None when they may."""
    if person is None:
        return "Only a person decides. Sign in, or use a key that a person made."
    if role is None:
        return "They are not a member of the project."
    if role not in (Role.REVIEWER, Role.ADMIN):
        return f"With the role {role.value} nobody decides on projections. Ask a reviewer or an admin."
    if projection.author_id is None:
        return "Nobody stands behind the key that made it. Make it anew as a person."
    if person.pk in (projection.author_id, projection.asked_by_id):
        return "Whoever wrote it or asked for it does not decide on it, with any key. Ask another reviewer."
    if projection.state != Projection.State.ASKED:
        return f"It is {projection.state}, and only what waits for a decision is decided on."
    return None
