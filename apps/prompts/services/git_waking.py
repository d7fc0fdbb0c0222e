"""The word to git that something was published. It stands alone, so that publishing can say it."""

from __future__ import annotations

from apps.core import jobs
from apps.prompts.models import GitRemote, Version
from apps.prompts.types import Origin


def note_published(version: Version) -> None:
    """Have the version sent to git soon, if the project works with a repository. The schedule would find it, too."""
    if version.origin != Origin.GIT and GitRemote.objects.filter(project_id=version.project_id).exists():
        jobs.enqueue("prompts.sync_git", project_id=version.project_id)
