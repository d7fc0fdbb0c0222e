"""Which sample projects have no prompts yet."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from apps.projects.models import Project
from apps.prompts.models import Prompt


def list_samples_without_prompts() -> list[Project]:
    """The sample projects without a prompt."""
    return list(Project.objects.filter(~Exists(Prompt.objects.filter(project=OuterRef("pk"))), is_sample=True))
