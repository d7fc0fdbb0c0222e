"""What the numbers of a prompt's versions are made of."""

from __future__ import annotations

from datetime import UTC

from apps.dashboards import prompt_numbers
from apps.dashboards.prompt_numbers import PromptNumbers
from apps.dashboards.scope import Scope
from apps.prompts.models import Prompt
from apps.prompts.selectors.live import list_version_lines
from apps.telemetry.figures import Dimension, FigureRequest
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.selectors.prompt_use import prompt_uses
from apps.telemetry.selectors.scores import read_points

MOST_VERSIONS = 200


def read_prompt_numbers(prompt: Prompt, scope: Scope) -> PromptNumbers:
    """The numbers of the prompt's versions in the scope, in five queries, none of which reads spans of closed hours."""
    names = (prompt.name, *prompt.former_names)
    period, filters = scope.period, scope.filters
    by = (Dimension.PROMPT_VERSION,)
    table = read_tables(prompt.project_id, [FigureRequest(period.start, period.end, by, filters=filters)])[0]
    scores = read_points(
        prompt.project_id, start=period.start, end=period.end, timezone=UTC, group_by=by, filters=filters
    )
    published = list_version_lines(prompt, limit=MOST_VERSIONS)
    return prompt_numbers.build(names, published, table, scores, prompt_uses(prompt.project_id, names))
