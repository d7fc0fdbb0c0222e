"""What an example expects, as the texts that scorers compare with."""

from __future__ import annotations

from apps.evals.scoring.bounds import as_text, at_path, too_much
from apps.evals.scoring.kinds import Config, Field, FieldType
from apps.evals.types import Case, Json, Score, not_scored

MAX_ANSWERS = 100

EXPECTED_PATH = Field(
    "expected_path",
    "Part of the expected answer",
    help="When the expected answer is an object: the name of the part to compare with, such as answer or answer.value.",
    default="",
)
ACCEPT_ANY = Field(
    "accept_any",
    "A list holds accepted answers",
    FieldType.BOOLEAN,
    default=True,
    help="When the expected answer is a list, any one of it is right. Otherwise the list itself is the answer.",
)


def expected_value(case: Case, config: Config) -> Json | Score:
    """What is expected at the path of the settings; a `not_scored` when there is nothing, or too much to look at."""
    if case.expected is None:
        return not_scored("The example has no expected answer.")
    path = str(config.get("expected_path") or "")
    is_there, value = at_path(case.expected, path)
    if not is_there or value is None:
        return not_scored(f"The expected answer has nothing at {path}.")
    problem = too_much(value)
    return not_scored(f"The expected answer {problem}.") if problem else value


def expected_texts(case: Case, config: Config, *, blank: bool = False) -> tuple[str, ...] | Score:
    """The accepted answers as texts, at most a hundred; a `not_scored` when there are none. Texts without a visible
    character count only with `blank`."""
    value = expected_value(case, config)
    if isinstance(value, Score):
        return value
    values = value if isinstance(value, list | tuple) and config.get("accept_any", True) else [value]
    texts = tuple(dict.fromkeys(as_text(item) for item in values[:MAX_ANSWERS] if item is not None))
    texts = tuple(text for text in texts if blank or text.strip())
    return texts or not_scored("The expected answer is empty.")
