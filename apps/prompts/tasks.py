"""Jobs of prompts. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

from celery import shared_task

from apps.core import clock, jobs
from apps.prompts.selectors import git as git_selectors
from apps.prompts.services import git, imports, sample


@shared_task(name="prompts.fill_samples")
def fill_samples(**_newer: object) -> None:
    """Give sample projects their prompts."""
    sample.fill_samples()


@shared_task(name="prompts.forget_imports")
def forget_imports(**_newer: object) -> None:
    """Delete uploads that nobody confirmed within a day."""
    imports.forget_uploads(now=clock.now())


@shared_task(name="prompts.sync_git")
def sync_git(*, project_id: int | None = None, **_newer: object) -> None:
    """Look at the repository of a project; without one, have all looked at that are due, and histories kept up."""
    if project_id is not None:
        git.sync(project_id, now=clock.now())
        return
    for due in git_selectors.due_projects(now=clock.now()):
        jobs.enqueue("prompts.sync_git", project_id=due)
    git.record_behind()
    git.forget_orphans()
    git.forget_copies()
