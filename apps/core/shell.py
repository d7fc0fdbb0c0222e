"""What stands around every page: who looks, at which project, and where else they may go.

The app that knows projects puts a `Shell` on the request as `request.shell`; templates read it by tags in
`apps.core.templatetags.ui`. A request without one gets the bare layout.
"""

from __future__ import annotations

from collections.abc import Mapping
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
