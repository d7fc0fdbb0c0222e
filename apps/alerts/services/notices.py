"""Telling people, each thing once: in the product, and by mail where mail is set up.

A notice with a `mail_due_at` is to be mailed. Whoever moves that time on by a conditional update mails it; so with any
number of processes each attempt is made by one. A process that dies at it leaves the notice due again later.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from apps.accounts.models import User
from apps.alerts.models import Notice, NoticeRead
from apps.alerts.selectors import notices as selectors
from apps.core.db import assert_no_transaction
from apps.projects.models import Project
from apps.projects.types import Role

log = logging.getLogger(__name__)

LEVELS = selectors.LEVELS
WORDS = {"bad": "Needs a look", "warn": "Take note", "info": "For information"}
FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(hours=2)
TRIED_FOR = timedelta(hours=24)
AT_A_TIME = 50
LONGEST_PROBLEM = 500


@transaction.atomic
def notify(
    *,
    project: Project,
    key: str,
    kind: str,
    title: str,
    text: str = "",
    path: str = "",
    role: str = "viewer",
    level: str = "info",
    now: datetime,
) -> Notice | None:
    """Tell the members with that role or above, once for each key, whoever says it first; None when it was said.

    `path` is where to look, `level` one of bad, warn and info. Mail goes out after the commit, by a job.
    """
    assert level in LEVELS
    notice = Notice(
        project_id=project.pk,
        key=key[:200],
        kind=kind[:32],
        level=level,
        title=" ".join(title.split())[:200],
        text=text[:10_000],
        path=path[:500],
        role=role,
        at=now,
        mail_due_at=now if selectors.sends_mail() else None,
    )
    Notice.objects.bulk_create([notice], ignore_conflicts=True)
    # The row with this uuid is there only if no other one had the key.
    return Notice.objects.filter(uuid=notice.uuid).first()


def mark_read(*, notice: Notice, user: User, now: datetime) -> None:
    """Note that this person has seen it; repeating it changes nothing."""
    NoticeRead.objects.bulk_create([NoticeRead(notice=notice, user=user, at=now)], ignore_conflicts=True)


def mark_all_read(*, project: Project, role: Role, user: User, now: datetime) -> int:
    """Note that this person has seen all that is meant for their role; how many were new to them."""
    rows = Notice.objects.filter(project=project, role__in=selectors.roles_within(role))
    unread = list(rows.exclude(reads__user=user).values_list("pk", flat=True))
    reads = [NoticeRead(notice_id=pk, user=user, at=now) for pk in unread]
    NoticeRead.objects.bulk_create(reads, ignore_conflicts=True)
    return len(unread)


def pause_after(tries: int) -> timedelta:
    """How long to wait after so many tries: a minute, then twice as long each time, at most two hours."""
    return min(FIRST_PAUSE * (1 << min(max(tries - 1, 0), 20)), LONGEST_PAUSE)


def send_due(*, now: datetime) -> int:
    """Mail what is due; how many notices were mailed."""
    assert_no_transaction()
    return sum(_send(notice, now) for notice in selectors.list_to_mail(now, AT_A_TIME))


def _send(notice: Notice, now: datetime) -> bool:
    """Claim it, mail it, and note how that went."""
    tries = notice.mail_tries + 1
    claimed = Notice.objects.filter(pk=notice.pk, mailed_at=None, mail_due_at=notice.mail_due_at).update(
        mail_due_at=now + pause_after(tries), mail_tries=tries
    )
    if not claimed:
        return False
    rows = Notice.objects.filter(pk=notice.pk, mail_tries=tries)
    try:
        _mail(notice)
    except OSError as error:  # the errors of mail are such, too
        is_over = now + pause_after(tries) > notice.at + TRIED_FOR
        problem = f"{type(error).__name__}: {error}"[:LONGEST_PROBLEM]
        log.warning("notice %s was not mailed (try %s): %s", notice.uuid, tries, problem)
        rows.update(mail_problem=problem, **({"mail_due_at": None} if is_over else {}))
        return False
    rows.update(mailed_at=now, mail_due_at=None, mail_problem="")
    return True


def _mail(notice: Notice) -> None:
    """One mail that names nobody it goes to, so that a second try cannot reach some of them twice."""
    assert_no_transaction()
    readers = selectors.addresses_of(notice)
    lines = [notice.text] if notice.text else []
    if notice.path:
        lines.append(f"{settings.PUBLIC_URL}{notice.path}")
    lines.append(f"{WORDS[notice.level]}, from the project {notice.project.name}.")
    EmailMessage(
        subject=" ".join(f"[{notice.project.name}] {notice.title}".split()),
        body="\n\n".join(lines) + "\n",
        from_email=settings.DEFAULT_FROM_EMAIL,
        bcc=readers,
    ).send()
