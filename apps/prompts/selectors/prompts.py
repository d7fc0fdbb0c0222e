"""Reads of prompts and drafts. The project comes first."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import OuterRef, Prefetch, Q, QuerySet, Subquery

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.prompts.models import Deployment, Draft, Prompt, Version
from apps.prompts.semver import Number

PAGE_SIZE = 50


def get_prompt(project: Project, name: str) -> Prompt:
    """The prompt that has this name, or else the one that had it. Raises NotFound."""
    found = Prompt.objects.select_related("project", "owner").filter(
        Q(name=name) | Q(former_names__contains=[name]), project=project
    )
    # Nobody may take a name that somebody had, so one row at most; an own name would come first all the same.
    for prompt in sorted(found, key=lambda one: one.name != name):
        return prompt
    raise NotFound(f"There is no prompt {name} in this project.")


OFFERED = 500


def list_offered(project: Project) -> list[Prompt]:
    """The project's prompts to choose among, by name, without the archived ones; the first 500."""
    rows = Prompt.objects.select_related("project", "owner").filter(project=project, archived_at=None)
    return list(rows.order_by("name")[:OFFERED])


def get_draft(prompt: Prompt, author: User | None) -> Draft | None:
    """This person's draft of the prompt."""
    return Draft.objects.select_related("base", "prompt").filter(prompt=prompt, author=author).first()


def list_drafts(prompt: Prompt) -> list[Draft]:
    """Everybody's drafts of the prompt, last saved first."""
    return list(Draft.objects.select_related("base", "author").filter(prompt=prompt).order_by("-updated_at"))


class LivePlace(NamedTuple):
    """Where a version is live, and since when."""

    environment: str
    number: Number
    since: datetime


@dataclass(frozen=True, slots=True)
class PromptLine:
    """A prompt as lists show it."""

    prompt: Prompt
    latest: Number | None
    published_at: datetime | None
    live: tuple[LivePlace, ...]
    drafts: int

    @property
    def name(self) -> str:
        """The prompt's name."""
        return self.prompt.name


@dataclass(frozen=True, slots=True)
class PromptPage:
    """Some prompts in the order of their names. `next` is the name to go on after, None at the end."""

    items: list[PromptLine]
    next: str | None


def list_prompts(
    project: Project,
    *,
    words: str = "",
    folder: str = "",
    tag: str = "",
    with_archived: bool = False,
    after: str = "",
    limit: int = PAGE_SIZE,
) -> PromptPage:
    """Prompts whose name or description has the words, below the folder and with the tag, in the order of names."""
    rows = _matching(project, words=words, folder=folder, tag=tag, with_archived=with_archived)
    if after:
        rows = rows.filter(name__gt=after)
    found = list(_with_facts(rows)[: limit + 1])
    following = found[limit - 1].name if len(found) > limit else None
    return PromptPage([_line(prompt) for prompt in found[:limit]], following)


def prompt_line(prompt: Prompt) -> PromptLine:
    """One prompt as lists show it."""
    return _line(_with_facts(Prompt.objects.filter(pk=prompt.pk).select_related("owner")).get())


def _matching(project: Project, *, words: str, folder: str, tag: str, with_archived: bool) -> QuerySet[Prompt]:
    rows = Prompt.objects.filter(project=project).select_related("owner")
    for word in words.split():
        rows = rows.filter(Q(name__icontains=word) | Q(description__icontains=word))
    if folder:
        rows = rows.filter(name__startswith=f"{folder.rstrip('/')}/")
    if tag:
        rows = rows.filter(tags__contains=[tag])
    return rows if with_archived else rows.filter(archived_at=None)


def _with_facts(rows: QuerySet[Prompt]) -> QuerySet[Prompt]:
    """The rows in order, each with its newest version, its drafts and what is live."""
    newest = Version.objects.filter(prompt=OuterRef("pk")).order_by("-major", "-minor", "-patch")
    live = Deployment.objects.filter(ended_at=None).select_related("environment", "version")
    return (
        rows.order_by("name")
        .annotate(
            newest_major=Subquery(newest.values("major")[:1]),
            newest_minor=Subquery(newest.values("minor")[:1]),
            newest_patch=Subquery(newest.values("patch")[:1]),
            newest_at=Subquery(newest.values("published_at")[:1]),
        )
        .prefetch_related(
            Prefetch("deployments", queryset=live.order_by("environment__position"), to_attr="live_now"),
            Prefetch("drafts", queryset=Draft.objects.only("id", "prompt_id"), to_attr="draft_rows"),
        )
    )


def _line(prompt: Prompt) -> PromptLine:
    """The annotations of `_with_facts`, typed."""
    told = prompt.__dict__
    number = None
    if told["newest_major"] is not None:
        number = Number(told["newest_major"], told["newest_minor"], told["newest_patch"])
    live = tuple(LivePlace(one.environment.slug, one.version.number, one.started_at) for one in told["live_now"])
    return PromptLine(prompt, number, told["newest_at"], live, len(told["draft_rows"]))


def list_folders(project: Project) -> list[str]:
    """Every folder that holds a prompt, with the folders above it, in order."""
    names = Prompt.objects.filter(project=project, archived_at=None, name__contains="/").values_list("name", flat=True)
    found = set()
    for name in names:
        parts = name.split("/")[:-1]
        found |= {"/".join(parts[: depth + 1]) for depth in range(len(parts))}
    return sorted(found)


def list_tags(project: Project) -> list[str]:
    """Every tag in use, in order."""
    rows = Prompt.objects.filter(project=project, archived_at=None).exclude(tags=[]).values_list("tags", flat=True)
    return sorted({tag for tags in rows for tag in tags})
