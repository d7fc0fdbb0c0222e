"""Files that somebody uploaded and has not confirmed yet."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models

from apps.core import clock
from apps.projects.models import Project


class ImportJob(models.Model):
    """An upload between its preview and its confirmation, and for a day what came of it.

    `files` is a list of {"path", "data"}, the bytes in base64; `outcome` says, once confirmed, what became of each
    prompt.
    """

    uuid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    author = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    files = models.JSONField()
    outcome = models.JSONField(null=True)
    created_at = models.DateTimeField(default=clock.now)

    class Meta:
        indexes = [models.Index(fields=["created_at"], name="prompts_import_age")]

    def __str__(self) -> str:
        return f"an import into {self.project_id}"
