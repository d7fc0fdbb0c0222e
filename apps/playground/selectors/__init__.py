"""Reads of the playground: what a case begins with, what it becomes when rendered, and runs with their answers."""

from apps.playground.selectors.rendering import (
    rendered_messages,
    require_readable,
    undeclared_variables,
    unused_variables,
)
from apps.playground.selectors.runs import (
    AnswerView,
    RunLine,
    RunView,
    get_answer,
    get_run,
    list_runs,
)
from apps.playground.selectors.starting import Start, empty_start, from_draft, from_prompt, from_trace, from_version

__all__ = [
    "AnswerView",
    "RunLine",
    "RunView",
    "Start",
    "empty_start",
    "from_draft",
    "from_prompt",
    "from_trace",
    "from_version",
    "get_answer",
    "get_run",
    "list_runs",
    "rendered_messages",
    "require_readable",
    "undeclared_variables",
    "unused_variables",
]
