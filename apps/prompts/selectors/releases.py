"""Reads of when versions went live, for whoever draws them beside figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from apps.projects.models import Project
from apps.prompts.models import Deployment
from apps.prompts.semver import Number

MOST = 60


@dataclass(frozen=True, slots=True)
class Release:
    """A version that went live, or came back; with a model when it is not the version's own."""

    at: datetime
    prompt: str
    environment: str
    version: Number
    model: str
    is_return: bool


def releases_in(
    project: Project, start: datetime, end: datetime, *, environment: str | None = None, feature: str | None = None
) -> list[Release]:
    """What went live in `[start, end)`, the first one first; of more than 60, the last 60. One query.

    None takes every environment, or every feature.
    """
    rows = Deployment.objects.filter(project=project, started_at__gte=start, started_at__lt=end)
    if environment is not None:
        rows = rows.filter(environment__slug=environment)
    if feature is not None:
        rows = rows.filter(prompt__feature=feature)
    told = rows.order_by("-started_at", "-pk").values_list(
        "started_at",
        "prompt__name",
        "environment__slug",
        "version__major",
        "version__minor",
        "version__patch",
        "model",
        "evidence_kind",
    )
    found = [
        Release(at, prompt, place, Number(major, minor, patch), model, kind == "return")
        for at, prompt, place, major, minor, patch, model, kind in told[:MOST]
    ]
    return found[::-1]
