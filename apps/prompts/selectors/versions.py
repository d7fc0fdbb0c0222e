"""Reads of versions and of what is live."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, Q
from django.db.models.functions import JSONObject

from apps.core.errors import NotFound
from apps.projects.models import Environment, Project
from apps.prompts import semver
from apps.prompts.models import Deployment, Prompt, SplitArm, Version
from apps.prompts.semver import Number
from apps.prompts.types import Kind, Syntax

LATEST = "latest"


def get_version(prompt: Prompt, number: str) -> Version:
    """The version with this number, as `1.2.0`; `latest` is the newest. Raises NotFound."""
    wanted = semver.parse(number)
    found = latest_version(prompt) if number == LATEST else None
    if wanted is not None:
        rows = Version.objects.select_related("prompt", "prompt__project", "author")
        found = rows.filter(prompt=prompt, major=wanted.major, minor=wanted.minor, patch=wanted.patch).first()
    if found is None:
        raise NotFound(f"{prompt.name} has no version {number}.")
    return found


def list_versions(prompt: Prompt, *, before: Number | None = None, limit: int | None = None) -> list[Version]:
    """The prompt's versions, newest first; with `before`, those older than that number."""
    rows = Version.objects.select_related("prompt", "author").filter(prompt=prompt)
    if before is not None:
        rows = rows.filter(
            Q(major__lt=before.major)
            | Q(major=before.major, minor__lt=before.minor)
            | Q(major=before.major, minor=before.minor, patch__lt=before.patch)
        )
    return list(rows if limit is None else rows[:limit])


def latest_version(prompt: Prompt) -> Version | None:
    """The prompt's newest version."""
    return Version.objects.select_related("prompt", "author").filter(prompt=prompt).first()


def find_same_content(prompt: Prompt, content_hash: str) -> Version | None:
    """The newest version of the prompt with this hash of its content."""
    return Version.objects.filter(prompt=prompt, content_hash=content_hash).first()


def published_texts(project_id: int, wanted: Iterable[tuple[str, str]], syntax: Syntax) -> dict[tuple[str, str], str]:
    """The texts of these snippets, as (name, version), with their own snippets in place.

    Only published text prompts of the project in this template language are there to be included.
    """
    texts: dict[tuple[str, str], str] = {}
    for name, number in wanted:
        parsed = semver.parse(number)
        if parsed is None:
            continue
        found = Version.objects.filter(
            Q(prompt__name=name) | Q(prompt__former_names__contains=[name]),
            project_id=project_id,
            major=parsed.major,
            minor=parsed.minor,
            patch=parsed.patch,
        ).first()
        if found is None or found.content.get("kind") != Kind.TEXT or found.content.get("syntax") != syntax:
            continue
        texts[name, number] = found.resolved[0]["content"]
    return texts


def newest_number_of(project_id: int, name: str) -> Number | None:
    """The newest version of the prompt with this name that can be included."""
    rows = Version.objects.filter(prompt__name=name, project_id=project_id, prompt__archived_at=None)
    newest = rows.filter(content__kind=Kind.TEXT.value).first()
    return None if newest is None else newest.number


def live_deployments(prompt: Prompt) -> list[Deployment]:
    """What of the prompt is live, in the order of the environments."""
    rows = Deployment.objects.select_related("environment", "version").filter(prompt=prompt, ended_at=None)
    return list(rows.order_by("environment__position", "environment__slug"))


def list_deployments(prompt: Prompt, *, limit: int = 100) -> list[Deployment]:
    """What of the prompt is or was live, newest first; `open_arms` are those of a split that is open there now."""
    arms = SplitArm.objects.filter(
        split__prompt=OuterRef("prompt"), split__environment=OuterRef("environment"), split__ended_at=None
    )
    told = arms.order_by("position").values(
        told=JSONObject(
            experiment="split__experiment",
            unit="split__unit",
            share="split__share",
            name="name",
            model="model",
            weight="weight",
            major="version__major",
            minor="version__minor",
            patch="version__patch",
        )
    )
    rows = Deployment.objects.select_related("environment", "version").filter(prompt=prompt)
    return list(rows.annotate(open_arms=ArraySubquery(told))[:limit])


@dataclass(frozen=True, slots=True)
class LiveVersion:
    """What an environment answers for a prompt now, whole and ready to be served."""

    name: str
    former_names: tuple[str, ...]
    environment: str
    version: str
    content_hash: str
    content: dict[str, object]
    resolved: list[dict[str, str]]
    since: datetime
    model: str
    """The model that answers instead of the version's own; empty: the version's own."""


def live_versions(project_id: int) -> list[LiveVersion]:
    """Everything that is live in the project."""
    rows = Deployment.objects.select_related("environment", "version", "prompt").filter(
        project_id=project_id, ended_at=None
    )
    return [
        LiveVersion(
            name=row.prompt.name,
            former_names=tuple(row.prompt.former_names),
            environment=row.environment.slug,
            version=str(row.version.number),
            content_hash=row.version.content_hash,
            content=row.version.content,
            resolved=row.version.resolved,
            since=row.started_at,
            model=row.model,
        )
        for row in rows
    ]


def get_environment(project: Project, slug: str) -> Environment:
    """The project's environment of this name. Raises NotFound."""
    found = Environment.objects.filter(project=project, slug=slug).first()
    if found is None:
        raise NotFound(f"This project has no environment {slug}.")
    return found
