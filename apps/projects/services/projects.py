"""Making, changing and deleting projects."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import available_timezones

from django.db import IntegrityError, connection, transaction

from apps.accounts.models import User
from apps.core import jobs
from apps.core.errors import Conflict, Invalid
from apps.core.ids import slugify
from apps.projects import audit
from apps.projects.models import Environment, Membership, Project, Role
from apps.projects.types import Actor

FORGET_JOB = "telemetry.forget_project"
MOST_NAMESAKES = 1000


class NameDoesNotMatch(Invalid):
    """The name typed to confirm a deletion is another one."""

    code, message = "name_does_not_match", "Type the name of the project exactly as it is to delete it."


@transaction.atomic
def create_project(
    *, name: str, creator: User, actor: Actor, now: datetime, timezone: str = "UTC", is_sample: bool = False
) -> Project:
    """A new project with the usual environments and its creator as admin. Raises Invalid for an unknown time
    zone.
    """
    _require_timezone(timezone)
    project = _insert_with_free_slug(
        Project(name=name, timezone=timezone, created_at=now, is_sample=is_sample),
        slugify(name, limit=56) or "project",
    )
    Membership.objects.create(project=project, user=creator, role=Role.ADMIN, created_at=now)
    Environment.objects.bulk_create(
        Environment(project=project, slug=slug, position=position, is_protected=slug == "production", created_at=now)
        for position, slug in enumerate(Environment.DEFAULTS)
    )
    audit.record(actor=actor, action="projects.created", project=project, target=project, at=now)
    return project


def _insert_with_free_slug(project: Project, wanted: str) -> Project:
    """Insert under the wanted slug, or under the first of `wanted-2`, `wanted-3`, ... that nobody has."""
    taken = set(Project.objects.filter(slug__startswith=wanted).values_list("slug", flat=True))
    for number in range(1, MOST_NAMESAKES):
        project.slug = wanted if number == 1 else f"{wanted}-{number}"
        if project.slug in taken:
            continue
        try:
            with transaction.atomic():
                project.save(force_insert=True)
        except IntegrityError:
            continue
        return project
    raise Conflict("Too many projects have this name. Choose another.")


def _require_timezone(timezone: str) -> None:
    if timezone not in available_timezones():
        raise Invalid(timezone=["Choose a time zone from the list, such as Europe/Berlin."])


@transaction.atomic
def change_project(
    *, project: Project, name: str, timezone: str, actor: Actor, now: datetime, retention_days: int | None = None
) -> Project:
    """Set the name, the time zone and, if given, the days spans are kept. The address does not change.

    Raises Invalid for an unknown time zone or a retention out of range.
    """
    _require_timezone(timezone)
    if retention_days is not None and not 1 <= retention_days <= Project.MAX_RETENTION_DAYS:
        raise Invalid(retention_days=[f"Choose from 1 to {Project.MAX_RETENTION_DAYS} days."])
    project = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    wanted: dict[str, str | int] = {"name": name, "timezone": timezone}
    if retention_days is not None:
        wanted["retention_days"] = retention_days
    changes = [
        f"{field}: {getattr(project, field)} → {value}"
        for field, value in wanted.items()
        if getattr(project, field) != value
    ]
    if changes:
        for field, value in wanted.items():
            setattr(project, field, value)
        project.save(update_fields=list(wanted))
        audit.record(
            actor=actor,
            action="projects.changed",
            project=project,
            target=project,
            at=now,
            details={"changes": changes},
        )
    return project


@transaction.atomic
def delete_project(*, project: Project, typed_name: str, actor: Actor, now: datetime) -> None:
    """Delete the project with its members, keys and settings, and have its telemetry deleted. The audit trail
    stays.

    Raises NameDoesNotMatch unless the name was typed as it is.
    """
    if typed_name.strip() != project.name:
        raise NameDoesNotMatch(typed_name=["This is not the project's name."])
    audit.record(
        actor=actor,
        action="projects.deleted",
        project=project,
        target=project,
        at=now,
        details={"slug": project.slug},
    )
    if jobs.is_registered(FORGET_JOB):
        jobs.enqueue(FORGET_JOB, project_id=project.pk)
    with connection.cursor() as cursor:
        # Tables that keep their rows for ever let them go with this project, in this transaction.
        cursor.execute("SELECT set_config('prodworthy.deleting_project', %s, true)", [str(project.pk)])
    project.delete()
