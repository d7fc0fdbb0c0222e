"""Notices: whose they are, what is unread, and what has to be mailed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet, Subquery

from apps.alerts.models import Notice, NoticeRead
from apps.core.errors import NotFound
from apps.projects.models import Membership, Project
from apps.projects.types import Role

PAGE_SIZE = 50
MOST_UNREAD = 99
LEVELS = ("bad", "warn", "info")


@dataclass(frozen=True, slots=True)
class NoticeView:
    """One notice as one person sees it. `mail` is empty where mail is not set up, else mailed, waiting or failed."""

    uuid: UUID
    kind: str
    level: str
    title: str
    text: str
    path: str
    at: datetime
    is_unread: bool
    mail: str
    mailed_at: datetime | None
    mail_problem: str


def roles_within(role: Role) -> list[str]:
    """This role and those below it: whoever has it reads what is meant for them."""
    return [one.value for one in Role if role.allows(one)]


def _for(project_id: int, role: Role) -> QuerySet[Notice]:
    return Notice.objects.filter(project_id=project_id, role__in=roles_within(role))


def _was_read_by(user_id: int | None) -> Exists:
    reads = NoticeRead.objects.filter(notice=OuterRef("pk"))
    return Exists(reads.none() if user_id is None else reads.filter(user_id=user_id))


def list_notices(
    project: Project,
    *,
    role: Role,
    user_id: int | None,
    level: str = "",
    only_unread: bool = False,
    limit: int = PAGE_SIZE,
) -> list[NoticeView]:
    """What somebody of that role may read: unread first, newest first. `user_id` None (a key's): nothing is read."""
    rows = _for(project.pk, role)
    if level:
        rows = rows.filter(level=level)
    was_read = _was_read_by(user_id)
    found = [_view(one, False) for one in rows.filter(~was_read).order_by("-at", "-pk")[:limit]]
    if not only_unread and len(found) < limit:
        found += [_view(one, True) for one in rows.filter(was_read).order_by("-at", "-pk")[: limit - len(found)]]
    return found


def _view(notice: Notice, is_read: bool) -> NoticeView:
    mail = ""
    if notice.mailed_at is not None:
        mail = "mailed"
    elif notice.mail_due_at is not None:
        mail = "waiting"
    elif notice.mail_problem:
        mail = "failed"
    return NoticeView(
        uuid=notice.uuid,
        kind=notice.kind,
        level=notice.level,
        title=notice.title,
        text=notice.text,
        path=notice.path,
        at=notice.at,
        is_unread=not is_read,
        mail=mail,
        mailed_at=notice.mailed_at,
        mail_problem=notice.mail_problem,
    )


def get_notice(project: Project, uuid: UUID, *, role: Role) -> Notice:
    """The project's notice of this id, if it is meant for that role. Raises NotFound."""
    found = Notice.objects.filter(project=project, uuid=uuid, role__in=roles_within(role)).first()
    if found is None:
        raise NotFound("There is no such notice in this project.")
    return found


def role_of(project_id: int, user_id: int) -> Role | None:
    """The role that this person has in the project now; None for no member."""
    role = Membership.objects.filter(project_id=project_id, user_id=user_id).values_list("role", flat=True).first()
    return None if role is None else Role(role)


def count_unread(project_id: int, user_id: int) -> int:
    """How many notices of the project this member has not read, up to `MOST_UNREAD`."""
    role = role_of(project_id, user_id)
    if role is None:
        return 0
    return _for(project_id, role).filter(~_was_read_by(user_id))[:MOST_UNREAD].count()


def unread_of(project_id: int, user_id: int) -> QuerySet[Notice]:
    """The notices of the project that this member has not read; none for others."""
    members = Membership.objects.filter(project_id=project_id, user_id=user_id).values("role")
    rows = Notice.objects.filter(~_was_read_by(user_id), project_id=project_id).annotate(_mine=Subquery(members[:1]))
    within = Q(pk__in=[])
    for role in Role:
        within |= Q(_mine=role.value, role__in=roles_within(role))
    return rows.filter(within)


def sends_mail() -> bool:
    """Whether mail is set up."""
    return bool(settings.SENDS_MAIL)


def list_to_mail(now: datetime, limit: int) -> list[Notice]:
    """The notices whose mail is due, the longest due first."""
    due = Q(mailed_at=None, mail_due_at__lte=now)
    return list(Notice.objects.select_related("project").filter(due).order_by("mail_due_at", "pk")[:limit])


def addresses_of(notice: Notice) -> list[str]:
    """Whom it is mailed to: the members for whose role it is meant."""
    roles = [one.value for one in Role if one.allows(Role(notice.role))]
    members = Membership.objects.filter(project_id=notice.project_id, role__in=roles, user__is_active=True)
    return list(members.order_by("user__email").values_list("user__email", flat=True))
