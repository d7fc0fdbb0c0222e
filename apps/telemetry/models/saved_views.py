"""Filters that somebody keeps under a name."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.conf import settings
from django.db import models

from apps.core import clock
from apps.projects.models import Project


class SavedView(models.Model):
    """A list's filters under a name: `query` is the part of the address behind the question mark. Seen by its owner,
    and by every member when it is shared."""

    MAX_NAME_CHARS = 60
    MAX_QUERY_CHARS = 2_000

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    page = models.CharField(max_length=16)
    name = models.CharField(max_length=MAX_NAME_CHARS)
    query = models.CharField(max_length=MAX_QUERY_CHARS)
    is_shared = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint("project", "owner", "page", "name", name="telemetry_saved_view_name_once"),
            models.CheckConstraint(
                condition=models.Q(page__in=["traces", "sessions", "users"]), name="telemetry_saved_view_page_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name
