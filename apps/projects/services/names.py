"""Environments and features: made by hand, or by the first call that names them."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from typing import NamedTuple

from django.db import transaction
from django.db.models import Max, Q, QuerySet, RestrictedError

from apps.accounts.models import User
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Environment, Feature, Project
from apps.projects.types import Actor

MOST_FEATURES, MOST_ENVIRONMENTS = 500, 50
UNUSED_AFTER = timedelta(days=30)
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*", re.ASCII)


class EnvironmentInUse(Conflict):
    """A protected environment, or one that had a call lately, cannot be removed."""

    code = "environment_in_use"


class TooManyNames(Conflict):
    """The project has as many features or environments as it may have."""

    code, message = "too_many_names", "A project may have {most} of these at most. Remove one first."


def _require_name(name: str, *, limit: int) -> None:
    if len(name) > limit or not NAME.fullmatch(name):
        raise Invalid(name=[f"Use lower-case letters, digits, dots, hyphens and underscores, at most {limit} of them."])


def _lock(project_id: int) -> bool:
    """Lock the project's row, so that names are counted and made by one at a time; False when it is gone."""
    return Project.objects.select_for_update(no_key=True).filter(pk=project_id).values_list("pk").first() is not None


@transaction.atomic
def add_environment(*, project: Project, name: str, is_protected: bool, actor: Actor, now: datetime) -> Environment:
    """A new environment at the end of the order. Raises Invalid for a bad or taken name, TooManyNames."""
    _require_name(name, limit=64)
    _lock(project.pk)
    existing = Environment.objects.filter(project=project)
    if existing.filter(slug=name).exists():
        raise Invalid(name=["There is an environment of this name already."])
    if existing.count() >= MOST_ENVIRONMENTS:
        raise TooManyNames(most=MOST_ENVIRONMENTS)
    last = existing.aggregate(last=Max("position"))["last"]
    environment = Environment.objects.create(
        project=project,
        slug=name,
        is_protected=is_protected,
        position=0 if last is None else last + 1,
        created_at=now,
    )
    audit.record(actor=actor, action="projects.environment_added", project=project, target=environment, at=now)
    return environment


@transaction.atomic
def protect_environment(
    *, project: Project, environment: Environment, is_protected: bool, actor: Actor, now: datetime
) -> None:
    """Protect an environment, or lift its protection."""
    changed = Environment.objects.filter(pk=environment.pk, project=project).exclude(is_protected=is_protected)
    if changed.update(is_protected=is_protected):
        action = "projects.environment_protected" if is_protected else "projects.environment_unprotected"
        audit.record(actor=actor, action=action, project=project, target=environment, at=now)


@transaction.atomic
def move_environment(*, project: Project, environment: Environment, up: bool) -> None:
    """Change places with the neighbour above or below; at the end of the list nothing happens."""
    _lock(project.pk)
    order = list(Environment.objects.filter(project=project))
    here = next(index for index, one in enumerate(order) if one.pk == environment.pk)
    there = here - 1 if up else here + 1
    if not 0 <= there < len(order):
        return
    order[here], order[there] = order[there], order[here]
    for position, one in enumerate(order):
        one.position = position
    Environment.objects.bulk_update(order, ["position"])


@transaction.atomic
def remove_environment(*, project: Project, environment: Environment, actor: Actor, now: datetime) -> None:
    """Take an unused environment off the list; its old calls stay, and a new call brings it back.

    Raises EnvironmentInUse for a protected one, the last one, one that had a call within 30 days, or one with history.
    """
    _lock(project.pk)
    environment = Environment.objects.get(pk=environment.pk, project=project)
    if environment.is_protected:
        raise EnvironmentInUse("A protected environment cannot be removed. Lift its protection first.")
    if environment.last_call_on is not None and now.date() - environment.last_call_on < UNUSED_AFTER:
        raise EnvironmentInUse(
            f"{environment.slug} had a call on {environment.last_call_on}. "
            f"It can be removed after {UNUSED_AFTER.days} days without one."
        )
    if Environment.objects.filter(project=project).count() == 1:
        raise EnvironmentInUse("A project needs at least one environment.")
    audit.record(actor=actor, action="projects.environment_removed", project=project, target=environment, at=now)
    try:
        environment.delete()
    except RestrictedError as error:
        raise EnvironmentInUse(
            f"What was live in {environment.slug}, and when, is kept; so the environment stays, too."
        ) from error


@transaction.atomic
def add_feature(
    *, project: Project, name: str, description: str, owner: User | None, actor: Actor, now: datetime
) -> Feature:
    """A new feature. Raises Invalid for a bad or taken name or an owner outside the project, TooManyNames."""
    _require_name(name, limit=128)
    _require_member(project, owner)
    _lock(project.pk)
    if Feature.objects.filter(project=project, slug=name).exists():
        raise Invalid(name=["There is a feature of this name already."])
    if Feature.objects.filter(project=project).count() >= MOST_FEATURES:
        raise TooManyNames(most=MOST_FEATURES)
    feature = Feature.objects.create(project=project, slug=name, description=description, owner=owner, created_at=now)
    audit.record(actor=actor, action="projects.feature_added", project=project, target=feature, at=now)
    return feature


def _require_member(project: Project, owner: User | None) -> None:
    if owner is not None and not project.memberships.filter(user=owner).exists():
        raise Invalid(owner=["Choose a member of this project."])


@transaction.atomic
def describe_feature(
    *, project: Project, feature: Feature, description: str, owner: User | None, actor: Actor, now: datetime
) -> None:
    """Set what the feature is for and who answers for it. Raises Invalid for an owner outside the project."""
    _require_member(project, owner)
    Feature.objects.filter(pk=feature.pk, project=project).update(description=description, owner=owner)
    audit.record(
        actor=actor,
        action="projects.feature_described",
        project=project,
        target=feature,
        at=now,
        details={"owner": None if owner is None else owner.email},
    )


class _Known(NamedTuple):
    """What this process remembers of one name: the day it was last written down, and until when to believe
    it.
    """

    day: date
    until: datetime


REMEMBER_NAMES = timedelta(minutes=10)
MOST_REMEMBERED = 50_000
_known: dict[tuple[str, int, str], _Known] = {}


def forget_remembered_names() -> None:
    """Empty this process's memory of names."""
    _known.clear()


def learn_names(project_id: int, *, features: set[str], environments: set[str], now: datetime) -> None:
    """Make rows for features and environments first named by a call, and note the day of their latest call and
    the moment of the project's first.

    Cheap when nothing is new: each process remembers names for ten minutes. Names past the caps (500
    features, 50 environments) or too long for their column are left out; their calls are kept all the same.
    """
    new_features = _unknown("feature", project_id, features, limit=128, now=now)
    new_environments = _unknown("environment", project_id, environments, limit=64, now=now)
    if not new_features and not new_environments:
        return
    with transaction.atomic():
        Project.objects.filter(pk=project_id, first_call_at=None).update(first_call_at=now)
        _write_environments(project_id, new_environments, now)
        _write_features(project_id, new_features, now)
        transaction.on_commit(lambda: _remember(project_id, new_features, new_environments, now))


def _unknown(kind: str, project_id: int, names: set[str], *, limit: int, now: datetime) -> list[str]:
    """The usable names that are not remembered for today, sorted so that two writers lock rows in the same
    order.
    """
    today = now.date()
    found = []
    for name in names:
        known = _known.get((kind, project_id, name))
        if known is not None and known.day == today and now < known.until:
            continue
        if name and len(name) <= limit:
            found.append(name)
    return sorted(found)


def _remember(project_id: int, features: list[str], environments: list[str], now: datetime) -> None:
    if len(_known) > MOST_REMEMBERED:
        _known.clear()
    entry = _Known(day=now.date(), until=now + REMEMBER_NAMES)
    for kind, names in (("feature", features), ("environment", environments)):
        for name in names:
            _known[kind, project_id, name] = entry


def _write_environments(project_id: int, names: list[str], now: datetime) -> None:
    rows = Environment.objects.filter(project_id=project_id)
    known = set(rows.filter(slug__in=names).values_list("slug", flat=True))
    if known.issuperset(names):
        return _note_day(rows, names, now)
    if not _lock(project_id):
        return None  # deleted while a call of it was under way
    known = set(rows.values_list("slug", flat=True))
    last = rows.aggregate(last=Max("position"))["last"] or 0
    Environment.objects.bulk_create(
        Environment(project_id=project_id, slug=name, position=last + 1, made_by_call=True, created_at=now)
        for name in _room_for(names, known, MOST_ENVIRONMENTS)
    )
    return _note_day(rows, names, now)


def _write_features(project_id: int, names: list[str], now: datetime) -> None:
    rows = Feature.objects.filter(project_id=project_id)
    known = set(rows.filter(slug__in=names).values_list("slug", flat=True))
    if known.issuperset(names):
        return _note_day(rows, names, now)
    if not _lock(project_id):
        return None  # deleted while a call of it was under way
    known = set(rows.values_list("slug", flat=True))
    Feature.objects.bulk_create(
        Feature(project_id=project_id, slug=name, made_by_call=True, created_at=now)
        for name in _room_for(names, known, MOST_FEATURES)
    )
    return _note_day(rows, names, now)


def _room_for(names: list[str], known: set[str], most: int) -> list[str]:
    """The names not yet known, as many as the cap leaves room for."""
    return [name for name in names if name not in known][: max(0, most - len(known))]


def _note_day(rows: QuerySet[Environment] | QuerySet[Feature], names: list[str], now: datetime) -> None:
    """Move the day of the latest call forward, never back."""
    today = now.date()
    stale = rows.filter(Q(last_call_on=None) | Q(last_call_on__lt=today), slug__in=names)
    # Rows are locked in one order, or two writers with overlapping names could wait for each other.
    ids = list(stale.order_by("pk").select_for_update(no_key=True).values_list("pk", flat=True))
    if ids:
        rows.filter(pk__in=ids).update(last_call_on=today)
