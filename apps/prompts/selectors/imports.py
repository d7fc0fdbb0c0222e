"""Reads for imports and exports of files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q

from apps.accounts.models import User
from apps.core.errors import NotFound
from apps.projects.models import Project
from apps.prompts.files import own
from apps.prompts.files.own import PromptFile
from apps.prompts.files.plan import Known
from apps.prompts.models import ImportJob, Prompt, Version
from apps.prompts.semver import Number

KEPT = timedelta(days=1)
"""How long an upload is kept."""
PAGE_SIZE = 50


def get_import(project: Project, author: User, job: UUID, *, now: datetime) -> ImportJob:
    """This person's upload, for a day. Raises NotFound."""
    found = ImportJob.objects.filter(project=project, author=author, uuid=job, created_at__gt=now - KEPT).first()
    if found is None:
        raise NotFound("This upload is not there any more. Choose the files again.")
    return found


def known_prompts(project: Project, names: Iterable[str]) -> dict[str, Known]:
    """What the project has under these names, former ones included."""
    wanted = set(names)
    rows = Prompt.objects.filter(Q(name__in=wanted) | Q(former_names__overlap=sorted(wanted)), project=project)
    prompts = {row.pk: row for row in rows}
    hashes: dict[int, dict[str, Number]] = {pk: {} for pk in prompts}
    newest: dict[int, tuple[Number, int]] = {}
    fields = ("pk", "prompt_id", "content_hash", "major", "minor", "patch")
    versions = Version.objects.filter(prompt__in=prompts).order_by("prompt_id", "major", "minor", "patch")
    for pk, prompt_id, content_hash, *numbers in versions.values_list(*fields):
        number = Number(*numbers)
        hashes[prompt_id][content_hash] = number
        newest[prompt_id] = (number, pk)
    bodies = Version.objects.in_bulk([pk for _, pk in newest.values()])
    known: dict[str, Known] = {}
    for pk, prompt in prompts.items():
        latest = newest.get(pk)
        content = None if latest is None else bodies[latest[1]].body
        here = Known(prompt.name, None if latest is None else latest[0], content, hashes[pk])
        for name in (prompt.name, *prompt.former_names):
            if name in wanted:
                known[name] = here
    return known


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A prompt's newest version as a file."""

    path: str
    name: str
    version: str
    content_hash: str
    text: str


@dataclass(frozen=True, slots=True)
class ExportPage:
    """Some files in the order of the prompts' names. `next` is the name to go on after, None at the end."""

    items: list[ExportedFile]
    next: str | None


def export_files(
    project: Project, *, name: str = "", folder: str = "", after: str = "", limit: int = PAGE_SIZE
) -> ExportPage:
    """The newest versions of prompts that are not archived, as files in our own format."""
    rows = Prompt.objects.select_related("owner").filter(project=project, archived_at=None, versions__isnull=False)
    if name:
        rows = rows.filter(name=name)
    if folder:
        rows = rows.filter(name__startswith=f"{folder.rstrip('/')}/")
    if after:
        rows = rows.filter(name__gt=after)
    prompts = list(rows.order_by("name").distinct()[: limit + 1])
    newest = {
        version.prompt_id: version
        for version in Version.objects.filter(prompt__in=prompts[:limit])
        .order_by("prompt_id", "-major", "-minor", "-patch")
        .distinct("prompt_id")
    }
    items = [exported(prompt, newest[prompt.pk]) for prompt in prompts[:limit]]
    return ExportPage(items, prompts[limit - 1].name if len(prompts) > limit else None)


def exported(prompt: Prompt, version: Version) -> ExportedFile:
    """The version as a file. Where it came from a file, that file's comments, order and line ends are kept."""
    text = own.write(prompt_file(prompt, version), version.source_text or None)
    return ExportedFile(own.path_of(prompt.name), prompt.name, str(version.number), version.content_hash, text)


def prompt_file(prompt: Prompt, version: Version) -> PromptFile:
    """The version with what stands around it now."""
    return PromptFile(
        name=prompt.name,
        content=version.body,
        version=str(version.number),
        description=prompt.description,
        tags=tuple(prompt.tags),
        owner=prompt.owner.email if prompt.owner is not None else "",
    )
