"""What the lists of traces, sessions and users have in common: their pages, filters and saved views."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Protocol, TypeVar

from apps.core.periods import Period
from apps.projects.access import ProjectRequest
from apps.projects.models import Project
from apps.projects.selectors import list_features
from apps.telemetry import list_filters
from apps.telemetry.filters import TraceFilter
from apps.telemetry.selectors.saved_views import list_views
from apps.telemetry.selectors.traces import BadCursor

PAGE_SIZE = 50

Page_co = TypeVar("Page_co", covariant=True)


class Read(Protocol[Page_co]):
    """A selector of one page of a list."""

    def __call__(
        self,
        project_id: int,
        *,
        start: datetime,
        end: datetime,
        matching: TraceFilter,
        limit: int = ...,
        cursor: str | None = ...,
    ) -> Page_co:
        """One page, the newest first. Raises BadCursor for a cursor that the list did not make."""
        ...


def read_page(
    read: Read[Page_co], project: Project, period: Period, matching: TraceFilter, cursor: str | None
) -> Page_co:
    """The page at the cursor; the first page when the cursor is none of this list, since addresses get old."""
    try:
        return read(project.pk, start=period.start, end=period.end, matching=matching, limit=PAGE_SIZE, cursor=cursor)
    except BadCursor:
        return read(project.pk, start=period.start, end=period.end, matching=matching, limit=PAGE_SIZE)


def around(
    request: ProjectRequest,
    project: Project,
    matching: TraceFilter,
    *,
    list_page: str,
    models: Iterable[str] = (),
) -> dict[str, Any]:
    """What stands above the list: its filters, and the saved views of it. `list_page` is the page's name."""
    features = [feature.slug for feature in list_features(project)]
    return {
        **list_filters.bar(request.GET.dict(), matching, features=features, models=models),
        "list_page": list_page,
        "views": list_views(project, request.user, list_page),
    }
