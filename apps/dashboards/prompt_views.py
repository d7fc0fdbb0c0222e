"""The page, and the region of a prompt's page, with the numbers of each version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlencode

from django.http import HttpResponse
from django.urls import reverse

from apps.core import clock, formats
from apps.core.http import page_or_fragment, wants_fragment
from apps.core.periods import CUSTOM
from apps.dashboards import words
from apps.dashboards.prompt_numbers import PromptNumbers, VersionNumbers
from apps.dashboards.prompt_selectors import read_prompt_numbers
from apps.dashboards.scope import Scope, read_scope
from apps.projects.access import ProjectRequest, project_page
from apps.projects.models import Project
from apps.prompts.models import Prompt
from apps.prompts.selectors import get_prompt
from apps.telemetry.figures import FigureRow

DEFAULT_RANGE = "30d"
RANGES = ("24h", "7d", "30d", "90d")
FEW_CALLS = 100


@dataclass(frozen=True, slots=True)
class Judged:
    """A score's mean in words, and of how many scores."""

    mean: str
    count: int


class AsNow(NamedTuple):
    """Figures where the fragments of tables look for them."""

    now: FigureRow


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the table."""

    row: VersionNumbers
    former: str
    traces_url: str
    scores: tuple[Judged | None, ...]

    @property
    def as_now(self) -> AsNow:
        """The row as the cell of a cost takes it."""
        return AsNow(self.row.figures)

    @property
    def is_small(self) -> bool:
        """True when the ninety-ninth percentile is of so few calls that it says little."""
        return self.row.figures.latency.count < FEW_CALLS

    @property
    def tokens_in(self) -> int:
        """Input tokens of a call in the mean."""
        return round(self.row.figures.input_tokens / max(self.row.figures.calls, 1))

    @property
    def tokens_out(self) -> int:
        """Output tokens of a call in the mean."""
        return round(self.row.figures.output_tokens / max(self.row.figures.calls, 1))


@project_page()
def prompt_numbers(request: ProjectRequest, project: Project, prompt: str) -> HttpResponse:
    """What did each version cost, how quick was it, how was it judged?"""
    found = get_prompt(project, prompt)
    scope = read_scope(request.GET.dict(), now=clock.now(), default_range=DEFAULT_RANGE)
    page = read_prompt_numbers(found, scope)
    environment = request.GET.get("env", "")
    context = {
        "project": project,
        "prompt": found,
        "scope": scope,
        "page": page,
        "lines": [_line(project, found, scope, page, row, environment) for row in page.rows],
        "where": words.where(scope),
        "ranges": RANGES,
        "is_region": wants_fragment(request),
        "kept": f"&{urlencode({'env': environment})}" if environment else "",
    }
    return page_or_fragment(request, "dashboards/prompt_numbers.html", "dashboards/_prompt_numbers.html", context)


def _line(
    project: Project, prompt: Prompt, scope: Scope, page: PromptNumbers, row: VersionNumbers, environment: str
) -> Line:
    name = row.told.partition("@")[0]
    return Line(
        row=row,
        former="" if name == prompt.name else name,
        traces_url=_traces_url(project, scope, row.told, environment),
        scores=tuple(_judged(row, score) for score in page.score_names),
    )


def _traces_url(project: Project, scope: Scope, told: str, environment: str) -> str:
    """The list of traces of these calls, in the same time."""
    period = scope.period
    when = {"range": period.key}
    if period.key == CUSTOM:
        when = {"from": period.start.isoformat(), "to": period.end.isoformat()}
    where = {"env": environment} if environment else {}
    return f"{reverse('traces', kwargs={'project': project.slug})}?{urlencode({'prompt': told, **when, **where})}"


def _judged(row: VersionNumbers, name: str) -> Judged | None:
    point = row.scores.get(name)
    return None if point is None or point.mean is None else Judged(formats.number(point.mean, 2), point.count)
