"""Notices in the product, each once; they are mailed where mail is set up."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q

from apps.core import clock
from apps.projects.models import Project


class Notice(models.Model):
    """Something that people have to know. `key` makes it happen once, whoever notices it first."""

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=200)
    kind = models.CharField(max_length=32)
    # `bad`, `warn` or `info`.
    level = models.CharField(max_length=8, default="info")
    title = models.CharField(max_length=200)
    text = models.TextField(blank=True)
    # Where to look: a path of this installation.
    path = models.CharField(max_length=500, blank=True)
    # The lowest role that it is meant for.
    role = models.CharField(max_length=16, default="viewer")
    at = models.DateTimeField(default=clock.now)
    mailed_at = models.DateTimeField(null=True)
    mail_tries = models.PositiveSmallIntegerField(default=0)
    mail_due_at = models.DateTimeField(null=True)
    mail_problem = models.TextField(blank=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["project", "key"], name="alerts_notice_once")
        ]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["project", "-at"], name="alerts_notice_newest"),
            models.Index(fields=["mail_due_at"], condition=Q(mail_due_at__isnull=False), name="alerts_notice_to_mail"),
        ]


class NoticeRead(models.Model):
    """That somebody has seen a notice."""

    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="reads")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["notice", "user"], name="alerts_notice_read_once")
        ]
