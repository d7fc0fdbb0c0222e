"""What stands around every page: who looks, at which project, and where else they may go.

The app that knows projects puts a `Shell` on the request as `request.shell`; templates read it by tags in
`apps.core.templatetags.ui`. A request without one gets the bare layout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

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


WaitingCount = Callable[[int], int]
"""Given a project's number, how many things wait there."""

_waiting: dict[str, WaitingCount] = {}


def count_on_rail(url_name: str, count: WaitingCount) -> None:
    """Let the rail show beside this page how many things wait on it; apps say so when they start."""
    _waiting[url_name] = count


def waiting_counts(project_id: int) -> dict[str, int]:
    """How many things wait on which page of the project."""
    return {url_name: count(project_id) for url_name, count in _waiting.items()}
