"""What stands around every page: who looks, at which project, and where else they may go.

The app that knows projects puts a `Shell` on the request as `request.shell`; templates read it by tags in
`apps.core.templatetags.ui`. A request without one gets the bare layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.db.models import CharField, Count, Value

if TYPE_CHECKING:
    from django.db.models import QuerySet

ALL_ENVIRONMENTS = "all"


@dataclass(frozen=True, kw_only=True)
class ProjectLink:
    """One line of the project switcher."""

    name: str
    slug: str
    url: str
    is_sample: bool = False


@dataclass(frozen=True, kw_only=True)
class Shell:
    """Rail and top bar of one request. `counts` maps URL names of the rail to how many things wait there."""

    person_name: str
    person_initials: str
    person_email: str = ""
    theme: str = "system"
    project: ProjectLink | None = None
    projects: tuple[ProjectLink, ...] = ()
    environments: tuple[str, ...] = ()
    environment: str = ALL_ENVIRONMENTS
    counts: Mapping[str, int] = field(default_factory=dict)


WaitingRows = Callable[[int, int], "QuerySet[Any]"]
"""Given a project's number and a person's, the rows that wait there for that person."""

_waiting: dict[str, WaitingRows] = {}


def count_on_rail(url_name: str, rows: WaitingRows) -> None:
    """Let the rail show beside this page how many things wait on it; apps say so when they start."""
    _waiting[url_name] = rows


def waiting_counts(project_id: int, person_id: int) -> dict[str, int]:
    """How many things wait for this person on which page of the project. One query for all of them."""
    counted = [
        rows(project_id, person_id)
        .order_by()
        .annotate(_page=Value(url_name, output_field=CharField()))
        .values("_page")
        .annotate(_number=Count("pk"))
        .values_list("_page", "_number")
        for url_name, rows in _waiting.items()
    ]
    return dict(counted[0].union(*counted[1:], all=True)) if counted else {}
