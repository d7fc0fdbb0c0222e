"""Making, changing and archiving eval sets. Their examples are written by `set_changes`."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.core.ids import slugify
from apps.evals.examples import CONTROLS, NOT_IN_TEXT
from apps.evals.models import EvalSet
from apps.evals.schemas import schema_problem
from apps.evals.services.set_changes import Add as Add
from apps.evals.services.set_changes import Changes as Changes
from apps.evals.services.set_changes import change_examples as change_examples
from apps.evals.services.set_changes import locked_set
from apps.evals.types import Json
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

MOST_SETS = 2_000
GOLDEN = 100
"""Examples that a set needs before anybody should trust it; to ask for fewer is written down in the audit trail."""
MOST_EXAMPLES_ASKED, MOST_DAYS = 1_000_000, 3_650
RESERVED_SLUGS = frozenset({"-", "new", "add"})


class SlugTaken(Invalid):
    """Another set of the project has this slug."""

    code = "slug_taken"

    def __init__(self, slug: str) -> None:
        super().__init__(slug=[f"There is an eval set {slug} already, perhaps an archived one. Choose another slug."])


class TooManySets(Conflict):
    """The project has as many sets as it may have."""

    code, message = "too_many_sets", "A project may have {most} eval sets. Begin another project."


@dataclass(frozen=True, slots=True)
class SetChange:
    """What to change about a set; None leaves it as it is. A schema is taken away by `clears`, which names fields."""

    name: str | None = None
    description: str | None = None
    feature: str | None = None
    input_schema: Json = None
    expected_schema: Json = None
    minimum_examples: int | None = None
    minimum_per_slice: int | None = None
    fresh_days: int | None = None
    clears: frozenset[str] = frozenset()
    is_archived: bool | None = None

    def values(self) -> dict[str, Any]:
        """The fields of the row that are to be set."""
        given = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in {"clears", "is_archived"}}
        return {name: value for name, value in given.items() if value is not None or name in self.clears}


@transaction.atomic
def create_set(
    *, project: Project, name: str, actor: Actor, now: datetime, slug: str = "", settings: SetChange | None = None
) -> EvalSet:
    """A set without examples. Without a slug, one is made of the name. Raises Invalid by field, SlugTaken, TooManySets.

    Asking for fewer than `GOLDEN` examples is noted in the audit trail.
    """
    # One at a time, so that sets are counted and named without a race.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    values = {"name": name, **(settings.values() if settings else {})}
    slug = slug or slugify(name, limit=100)
    _require_good(values | {"slug": slug})
    if EvalSet.objects.filter(project=project, slug=slug).exists():
        raise SlugTaken(slug)
    if EvalSet.objects.filter(project=project).count() >= MOST_SETS:
        raise TooManySets(most=MOST_SETS)
    made = EvalSet.objects.create(
        project=project, slug=slug, created_at=now, changed_at=now, created_by=actor.name, **values
    )
    details = {"minimum_examples": made.minimum_examples} if made.minimum_examples < GOLDEN else {}
    audit.record(actor=actor, action="evals.set_created", project=project, target=made, at=now, details=details)
    return made


@transaction.atomic
def begin_set(*, project: Project, name: str, feature: str, add: Add, actor: Actor, now: datetime) -> EvalSet:
    """A new set with its first example, or neither. Raises what `create_set` and `change_examples` raise."""
    made = create_set(project=project, name=name, settings=SetChange(feature=feature), actor=actor, now=now)
    change_examples(eval_set=made, changes=Changes(adds=(add,)), actor=actor, now=now)
    return made


@transaction.atomic
def change_set(*, eval_set: EvalSet, change: SetChange, actor: Actor, now: datetime) -> EvalSet:
    """Set what the change names, and archive or bring back. Examples are not looked at again when a schema changes.

    Raises Invalid by field.
    """
    found = locked_set(eval_set)
    values = change.values()
    _require_good(values)
    before = {name: getattr(found, name) for name in values}
    altered = sorted(name for name, value in values.items() if value != before[name])
    if altered:
        EvalSet.objects.filter(pk=found.pk).update(**values, changed_at=now)
        details: dict[str, audit.Detail] = {"fields": altered}
        if "minimum_examples" in altered:
            details |= {"from": before["minimum_examples"], "to": values["minimum_examples"]}
        lowered = "minimum_examples" in altered and values["minimum_examples"] < min(GOLDEN, before["minimum_examples"])
        action = "evals.set_minimum_lowered" if lowered else "evals.set_changed"
        audit.record(actor=actor, action=action, project=found.project, target=found, at=now, details=details)
    if change.is_archived is not None:
        _archive(found, change.is_archived, actor, now)
    found.refresh_from_db()
    return found


@transaction.atomic
def archive_set(*, eval_set: EvalSet, actor: Actor, now: datetime) -> EvalSet:
    """Take the set off the lists and refuse changes of its examples; runs and revisions stay."""
    return change_set(eval_set=eval_set, change=SetChange(is_archived=True), actor=actor, now=now)


@transaction.atomic
def restore_set(*, eval_set: EvalSet, actor: Actor, now: datetime) -> EvalSet:
    """Put an archived set back on the lists."""
    return change_set(eval_set=eval_set, change=SetChange(is_archived=False), actor=actor, now=now)


def _archive(found: EvalSet, is_archived: bool, actor: Actor, now: datetime) -> None:
    if (found.archived_at is not None) == is_archived:
        return
    EvalSet.objects.filter(pk=found.pk).update(archived_at=now if is_archived else None)
    action = "evals.set_archived" if is_archived else "evals.set_restored"
    audit.record(actor=actor, action=action, project=found.project, target=found, at=now)


def _require_good(values: dict[str, Any]) -> None:
    """Raise Invalid with a sentence for each field that cannot be used."""
    problems: dict[str, Any] = {}
    name, slug = values.get("name", "a"), values.get("slug", "a")
    if not name.strip() or len(name) > 200 or CONTROLS.search(name):
        problems["name"] = ["Give the set a name of at most 200 characters, without control characters."]
    elif not slug or slug in RESERVED_SLUGS or slugify(slug, limit=100) != slug:
        problems["slug"] = ["A slug has small letters, digits and single hyphens, at most 100 of them."]
    if len(values.get("description", "")) > 10_000 or NOT_IN_TEXT.search(values.get("description", "")):
        problems["description"] = ["A description may have 10,000 characters that can be stored."]
    if len(values.get("feature", "")) > 128 or CONTROLS.search(values.get("feature", "")):
        problems["feature"] = ["A feature has a name of at most 128 characters."]
    for field in ("input_schema", "expected_schema"):
        if fault := schema_problem(values.get(field)):
            problems[field] = [fault]
    for field, most in (
        ("minimum_examples", MOST_EXAMPLES_ASKED),
        ("minimum_per_slice", MOST_EXAMPLES_ASKED),
        ("fresh_days", MOST_DAYS),
    ):
        if not 1 <= values.get(field, 1) <= most:
            problems[field] = [f"Give a number from 1 to {most:,}."]
    if problems:
        raise Invalid(**problems)
