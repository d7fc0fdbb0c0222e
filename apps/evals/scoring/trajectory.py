"""An agent's run: which tools it used in which order, how many steps it took, whether it went in circles, its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from apps.evals.scoring.bounds import as_text, at_path, shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.similarity import MAX_WORD_CELLS
from apps.evals.types import Case, Json, Score, not_scored, scored

MAX_STEPS = 10_000
MAX_EXPECTED = 1_000

FIELDS = (
    Field(
        "tools", "Expected tools", FieldType.LIST, default=(), help="One a line; none: those of the expected answer."
    ),
    Field(
        "match",
        "The expected tools",
        FieldType.CHOICE,
        default="in_order",
        choices=(
            ("in_order", "Are called in this order; others may come between"),
            ("same", "Are called in this order, and no others"),
            ("any_order", "Are all called, in any order"),
            ("none", "Are not looked at"),
        ),
    ),
    Field("forbidden", "Forbidden tools", FieldType.LIST, default=(), help="One a line."),
    Field("max_steps", "Most steps", FieldType.NUMBER, default=None, help="Messages of the agent; empty: any number."),
    Field(
        "max_repeats",
        "Most calls that are the same",
        FieldType.NUMBER,
        default=None,
        help="The same tool with the same arguments; more is a loop. Empty: any number.",
    ),
    Field("max_errors", "Most tool results that are errors", FieldType.NUMBER, default=None),
    Field("error_mark", "A result is an error when it begins with", default="Error"),
    Field("outcome_field", "Outcome in the metadata", default="", help="Such as reward; empty: not looked at."),
    Field("outcome_least", "The outcome is good from", FieldType.NUMBER, default=1),
    Field(
        "all_or_nothing", "All or nothing", FieldType.BOOLEAN, default=False, help="Otherwise the mean of the checks."
    ),
)


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a run: how far it holds (0..1), and a sentence."""

    points: float
    sentence: str


def calls_of(case: Case) -> list[tuple[str, str]]:
    """The name and the arguments (as text) of every call, in order: from the messages of the run, or else the calls of
    the answer."""
    messages = _messages(case) or [{"tool_calls": list(case.tool_calls)}]
    return [call for message in messages for call in _calls_in(message)][:MAX_STEPS]


def _messages(case: Case) -> list[Mapping[str, Json]]:
    # Runs that were brought along may hold anything.
    return [message for message in case.steps[:MAX_STEPS] if isinstance(message, Mapping)]


def _calls_in(message: Mapping[str, Json]) -> Iterator[tuple[str, str]]:
    calls = message.get("tool_calls")
    for call in calls[:MAX_STEPS] if isinstance(calls, list | tuple) else ():
        if isinstance(call, Mapping):
            inner = call["function"] if isinstance(call.get("function"), Mapping) else call
            arguments = inner.get("arguments")
            text = arguments if isinstance(arguments, str) else as_text(arguments)
            yield as_text(inner.get("name")), "".join(text[:10_000].split())


def _expected_tools(case: Case, config: Config) -> list[str]:
    value: Json = list(config["tools"]) or case.expected
    if isinstance(value, Mapping):
        value = next((value[name] for name in ("tools", "tool_calls", "actions", "calls") if name in value), None)
    tools = []
    for item in value[:MAX_EXPECTED] if isinstance(value, list | tuple) else ():
        if isinstance(item, Mapping):
            item = item["function"] if isinstance(item.get("function"), Mapping) else item
            item = item.get("name")
        if isinstance(item, str):
            tools.append(item)
    return tools


def _check_tools(made: Sequence[str], wanted: Sequence[str], match: str) -> Check:
    if match == "any_order":
        left = Counter(wanted) - Counter(made)
        share = 1 - left.total() / len(wanted)
        return Check(share, f"not called: {_names(left)}" if left else f"all {len(wanted)} expected tools were called")
    common = _in_both(made, wanted)
    length = max(len(made), len(wanted)) if match == "same" else len(wanted)
    if common == length:
        return Check(1.0, f"all {len(wanted)} expected tools were called in order")
    extra = f", and {len(made) - common} calls beside them" if match == "same" and len(made) > common else ""
    return Check(common / length, f"{common} of {len(wanted)} expected tools were called in order{extra}")


def _in_both(made: Sequence[str], wanted: Sequence[str]) -> int:
    from rapidfuzz.distance import LCSseq

    assert len(made) * len(wanted) <= MAX_WORD_CELLS
    return int(LCSseq.similarity(list(made), list(wanted)))


def _names(names: Mapping[str, int] | Sequence[str]) -> str:
    return ", ".join(shown(name, 40)[1:-1] for name in list(names)[:5])


def _checks(case: Case, config: Config) -> Iterator[Check]:
    calls = calls_of(case)
    made = [name for name, _arguments in calls]
    wanted = _expected_tools(case, config)
    if wanted and config["match"] != "none":
        yield _check_tools(made, wanted, config["match"])
    if config["forbidden"]:
        used = [name for name in dict.fromkeys(made) if name in config["forbidden"]]
        yield Check(float(not used), f"forbidden: {_names(used)}" if used else "no forbidden tool was called")
    if config["max_steps"] is not None:
        steps = sum(message.get("role") == "assistant" for message in _messages(case)) or len(calls)
        yield Check(float(steps <= config["max_steps"]), f"{steps} steps, at most {config['max_steps']:g} allowed")
    if config["max_repeats"] is not None:
        name, most = _most_repeated(calls)
        sentence = f"the same call of {shown(name, 40)[1:-1]} was made {most} times" if most > 1 else "no call repeated"
        yield Check(float(most <= config["max_repeats"]), sentence)
    if config["max_errors"] is not None:
        errors = sum(_is_error(message, config["error_mark"]) for message in _messages(case))
        yield Check(float(errors <= config["max_errors"]), f"{errors} tool results are errors")
    if config["outcome_field"]:
        yield _check_outcome(case, config)


def _most_repeated(calls: Sequence[tuple[str, str]]) -> tuple[str, int]:
    most = Counter(calls).most_common(1)
    return (most[0][0][0], most[0][1]) if most else ("", 0)


def _is_error(message: Mapping[str, Json], mark: str) -> bool:
    return message.get("role") == "tool" and as_text(message.get("content")).lstrip()[: len(mark)] == mark


def _has_outcome(case: Case, config: Config) -> bool:
    is_there, outcome = at_path(case.metadata, config["outcome_field"])
    return is_there and isinstance(outcome, int | float)


def _check_outcome(case: Case, config: Config) -> Check:
    _is_there, outcome = at_path(case.metadata, config["outcome_field"])
    if isinstance(outcome, bool):
        return Check(float(outcome), f"the outcome is {as_text(outcome)}")
    return Check(float(outcome >= config["outcome_least"]), f"the outcome is {shown(outcome, 20)}")


def score_trajectory(case: Case, config: Config) -> Score:
    """The mean of the checks that the settings ask for, or all or nothing. Without messages of a run, the calls of the
    answer are looked at."""
    if not case.steps and not case.tool_calls and not config["outcome_field"]:
        return not_scored("The output has no steps and no tool calls.")
    if len(case.steps) > MAX_STEPS:
        return scored(0.0, f"The run has more than {MAX_STEPS:,} messages.")
    if config["outcome_field"] and not _has_outcome(case, config):
        return not_scored(f"The metadata has no outcome at {config['outcome_field']}.")
    checks = list(_checks(case, config))
    if not checks:
        return not_scored("Nothing to check: no tools are expected, and the settings ask for nothing else.")
    value = sum(check.points for check in checks) / len(checks)
    if config["all_or_nothing"] and value < 1.0:
        value = 0.0
    failed = [check.sentence for check in checks if check.points < 1.0]
    sentence = "; ".join(failed or [check.sentence for check in checks])
    return scored(min(1.0, value), sentence[:1].upper() + sentence[1:] + ".")


KINDS = (
    ScorerKind(
        name="trajectory",
        title="Steps of an agent",
        about="The tools an agent used, its steps, loops, errors and the outcome.",
        group="agent",
        fields=FIELDS,
        read=config_reader(
            FIELDS,
            ranges={"max_steps": (0, None), "max_repeats": (1, None), "max_errors": (0, None)},
            whole=frozenset({"max_steps", "max_repeats", "max_errors"}),
        ),
        score=score_trajectory,
    ),
)
