"""Scorers that ask a model for its verdict: `judge` on one output, `judge_pairwise` on two."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from apps.core.errors import DomainError
from apps.evals.scoring import judging
from apps.evals.scoring.judging import Decided, Marks, Scale, UnreadableVerdict
from apps.evals.scoring.kinds import Asker, Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed
from apps.providers.calls import ModelRequest

T = TypeVar("T")
TEST = "test/"
MOST_JUDGES = 5
MOST_SHOTS = 20
MOST_LABELS = 20
OWN_LABELS = "labels"
REFUSED = "refused"

MODEL = Field("model", "Model", FieldType.MODEL, "", "The model that judges, as connection/model.")
MORE_MODELS = Field(
    "more_models", "More judges", FieldType.LIST, [], "Other models that judge too, one a line; they vote together."
)
VOTE = Field(
    "vote",
    "How several judges decide",
    FieldType.CHOICE,
    "majority",
    "By majority, the lower of two verdicts given equally often counts.",
    (("majority", "Majority"), ("mean", "Mean of their values")),
)
PARAMETERS = Field("parameters", "Parameters", FieldType.JSON, {"temperature": 0}, "Sent with every call.")
RUBRIC = Field(
    "rubric",
    "Rubric",
    FieldType.LONG_TEXT,
    "",
    "What makes an output good, and what each verdict means. The more exact, the closer judges come to people.",
)
SHOWN = Field(
    "shown",
    "What the judge sees",
    FieldType.LIST,
    ["input", "output"],
    f"Of {', '.join(judging.PARTS)}, one a line. An example without one of them is not scored.",
)
SCALE = Field(
    "scale",
    "Scale",
    FieldType.CHOICE,
    "yes_no",
    "The verdicts that the judge may give.",
    (
        ("yes_no", "Yes or no"),
        ("one_to_five", "1 to 5"),
        ("zero_to_one", "A number from 0 to 1"),
        (OWN_LABELS, "Labels of your own"),
    ),
)
LABELS = Field(
    "labels", "Labels", FieldType.JSON, None, 'With labels of your own: each with its value, as {"good": 1, "bad": 0}.'
)
SHOTS = Field(
    "few_shot",
    "Examples with verdicts",
    FieldType.JSON,
    [],
    'A list of objects with the parts that are shown, "reason" and "verdict".',
)


class Refused(Exception):
    """A judge gave no verdict; the text says why."""


# --- Settings


def scale_of(config: Config) -> Scale:
    """The scale that the settings of a `judge` name."""
    if config.get("scale") != OWN_LABELS:
        return judging.SCALES[str(config.get("scale") or "yes_no")]
    told: Mapping[str, float] = config["labels"]
    return Scale(OWN_LABELS, tuple(sorted(((label, float(value)) for label, value in told.items()), key=_by_value)))


def _by_value(label: tuple[str, float]) -> tuple[float, str]:
    return label[1], label[0]


def models_of(config: Config) -> list[str]:
    """Every model that judges, each once."""
    return list(dict.fromkeys([str(config["model"]), *map(str, config.get("more_models") or ())]))


def check_models(settings: Settings, problems: Problems) -> None:
    """Refuse settings without a model, with too many, or with parameters that are no object."""
    if not settings["model"]:
        problems["model"] = ["Choose the model that judges."]
    if len(models_of(settings)) > MOST_JUDGES:
        problems["more_models"] = [f"At most {MOST_JUDGES} judges."]
    if not isinstance(settings["parameters"], dict):
        problems["parameters"] = ['Give an object, such as {"temperature": 0}.']


def _check(settings: Settings, problems: Problems) -> None:
    check_models(settings, problems)
    if not settings["rubric"].strip():
        problems["rubric"] = ["Say what makes an output good."]
    if "shown" in settings:
        unknown = [part for part in settings["shown"] if part not in judging.PARTS]
        if unknown or "output" not in settings["shown"]:
            problems["shown"] = [f"Of {', '.join(judging.PARTS)}; the output is always among them."]
    if settings.get("scale") == OWN_LABELS:
        sentence = _wrong_labels(settings["labels"])
        if sentence:
            problems["labels"] = [sentence]
            return
    elif "labels" in settings:
        settings["labels"] = None
    if "few_shot" in settings and not problems:
        sentence = _wrong_shots(settings)
        if sentence:
            problems["few_shot"] = [sentence]


def _wrong_labels(labels: Json) -> str:
    if not isinstance(labels, dict) or not 2 <= len(labels) <= MOST_LABELS:
        return f'Give 2 to {MOST_LABELS} labels with their values, as {{"good": 1, "bad": 0}}.'
    for label, value in labels.items():
        if not label.strip() or len(label) > 60 or not label.isprintable():
            return "A label has 1 to 60 characters."
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return f"The value of {label} must be a number from 0 to 1."
    if len({label.strip().casefold() for label in labels}) != len(labels):
        return "Two labels differ only in capitals or blanks."
    return ""


def _wrong_shots(settings: Settings) -> str:
    shots, scale = settings["few_shot"], scale_of(settings)
    if not isinstance(shots, list) or len(shots) > MOST_SHOTS:
        return f"Give a list of at most {MOST_SHOTS} objects."
    for number, shot in enumerate(shots, start=1):
        if not isinstance(shot, dict) or not isinstance(shot.get("output"), str):
            return f'Example {number} needs "output" and "verdict", and may have a "reason" and the other parts.'
        told = {"check": "x", "reason": shot.get("reason", ""), "verdict": shot.get("verdict")}
        try:
            judging.read_verdict(_json(told), scale, Marks("x", "x"))
        except UnreadableVerdict as error:
            return f"Example {number}: {error}"
    return ""


def _json(told: Json) -> str:
    return json.dumps(told, ensure_ascii=False)


# --- Asking


def fresh_marks(*texts: str) -> Marks:
    """Random words that stand nowhere in the texts."""
    while True:
        marks = Marks(secrets.token_hex(8), secrets.token_hex(4))
        if not any(marks.boundary in text or marks.check in text for text in texts):
            return marks


@dataclass(frozen=True, slots=True)
class Question:
    """What one judge is asked: the words, the shape of the answer, and the names that it must have."""

    system: str
    messages: tuple[Mapping[str, Any], ...]
    schema: Mapping[str, Any]
    marks: Marks


async def ask_for(
    question: Question, model: str, parameters: Mapping[str, Any], asker: Asker, read: Callable[[str], T]
) -> tuple[T, bool]:
    """What `read` makes of the model's answer, and whether it had to be asked twice. Raises Refused.

    An answer that `read` refuses (UnreadableVerdict) is asked for once more, with what was wrong, and never again.
    """
    messages: tuple[Mapping[str, Any], ...] = ({"role": "system", "content": question.system}, *question.messages)
    problem = ""
    for is_second in (False, True):
        request = ModelRequest(messages=messages, parameters=parameters, response_schema=question.schema)
        try:
            asked = await asker.ask(model, request)
        except DomainError as error:
            raise Refused(f"{model} could not be asked: {error.text}") from error
        try:
            return read(asked.reply.text), is_second
        except UnreadableVerdict as error:
            problem = str(error)
            told = {"role": "assistant", "content": asked.reply.text[: judging.MOST_REPLY] or "(nothing)"}
            again = {"role": "user", "content": judging.repair(problem, question.marks)}
            messages = (*messages, told, again)
    raise Refused(f"The answer of {model} is no verdict: {problem}")


def told_in_schema(model: str, marks: Marks) -> str | None:
    """The check word for models that know nothing but the schema."""
    return marks.check if model.startswith(TEST) else None


async def _vote(
    model: str, config: Config, parts: Mapping[str, str], scale: Scale, asker: Asker
) -> tuple[Decided, bool]:
    """One judge's verdict, and whether it had to be asked twice. Raises Refused."""
    marks = fresh_marks(*parts.values(), config["rubric"])
    messages = [*_shots(config, scale, marks), {"role": "user", "content": judging.fenced(parts, marks.boundary)}]
    question = Question(
        system=judging.instructions(config["rubric"], scale, marks),
        messages=tuple(messages),
        schema=judging.schema(scale, told_in_schema(model, marks)),
        marks=marks,
    )
    return await ask_for(
        question, model, config["parameters"], asker, lambda text: judging.read_verdict(text, scale, marks)
    )


def _shots(config: Config, scale: Scale, marks: Marks) -> list[Mapping[str, Any]]:
    """The examples with verdicts, as turns that were answered."""
    turns: list[Mapping[str, Any]] = []
    for shot in config.get("few_shot") or ():
        parts = {name: judging.value_text(shot.get(name, "")) for name in judging.PARTS if name in config["shown"]}
        told = {"check": marks.check, "reason": shot.get("reason", ""), "verdict": shot["verdict"]}
        turns.append({"role": "user", "content": judging.fenced(parts, marks.boundary)})
        turns.append({"role": "assistant", "content": _json(told)})
    return turns


async def votes_of(config: Config, one: Callable[[str], Any]) -> tuple[list[tuple[str, Any]], list[dict[str, Json]]]:
    """What each judge said, by model, and what is shown of those that gave no verdict."""
    models = models_of(config)
    answers = await asyncio.gather(*(_or_refused(one(model)) for model in models))
    given = [(model, answer) for model, answer in zip(models, answers, strict=True) if not isinstance(answer, Refused)]
    refused = [
        {"model": model, "label": REFUSED, "reason": str(answer)[:500]}
        for model, answer in zip(models, answers, strict=True)
        if isinstance(answer, Refused)
    ]
    return given, refused


async def _or_refused(answer: Any) -> Any:
    try:
        return await answer
    except Refused as error:
        return error


def too_few(given: Sequence[Any], refused: Sequence[Mapping[str, Json]]) -> Score | None:
    """A failure unless more than half of the judges gave a verdict."""
    if len(given) > len(refused):
        return None
    return scorer_failed("; ".join(str(one["reason"]) for one in refused), judges=list(refused))


def missing_part(parts: Mapping[str, str]) -> Score | None:
    """`not_scored` for a part that the judge needs and the case has not; a failure for more than it is shown."""
    for name, text in parts.items():
        if not text and name != "output":
            return not_scored(f"The example has no {name}, which the judge is to see.")
    size = sum(map(len, parts.values()))
    if size > judging.MOST_MATERIAL:
        return scorer_failed(f"There are {size:,} characters to judge; at most {judging.MOST_MATERIAL:,} are shown.")
    return None


async def _judge(case: Case, config: Config, asker: Asker) -> Score:
    parts = judging.material(case, config["shown"])
    missing = missing_part(parts)
    if missing is not None:
        return missing
    scale = scale_of(config)
    given, refused = await votes_of(config, lambda model: _vote(model, config, parts, scale, asker))
    failed = too_few(given, refused)
    if failed is not None:
        return failed
    votes = [vote for _, (vote, _) in given]
    decided = judging.decide(votes, scale, config["vote"])
    told = [
        {"model": model, "label": vote.label, "value": vote.value, "reason": vote.reason, "asked_twice": twice}
        for model, (vote, twice) in given
    ]
    return scored(
        decided.value,
        decided.reason,
        label=decided.label,
        judges=[*told, *refused],
        agree=len({vote.label for vote in votes}) == 1 and not refused,
    )


# --- Pairs


PAIR_RULE = (
    "Two outputs, A and B, answer the same input. Decide which of them is better by the following, whichever stands"
    ' first and however long they are. If neither is better, the verdict is "tie".\n\n'
)


async def _pair_vote(model: str, config: Config, case: Case, asker: Asker) -> tuple[Decided, Decided, Decided]:
    """One judge's verdict with those of the two orders. Raises Refused when either cannot be read."""
    shared = judging.material(case, [part for part in config["shown"] if part != "output"])
    ours, other = judging.material(case, ["output"])["output"], case.other_output or ""
    told = {**config, "rubric": PAIR_RULE + config["rubric"]}
    orders = [_vote(model, told, {**shared, "a": ours, "b": other}, judging.PAIRWISE, asker)]
    orders.append(_vote(model, told, {**shared, "a": other, "b": ours}, judging.PAIRWISE, asker))
    (first, _), (second, _) = await asyncio.gather(*orders)
    return judging.decide_pair(first, second), first, second


async def _judge_pair(case: Case, config: Config, asker: Asker) -> Score:
    if case.other_output is None:
        return not_scored("There is no other output to compare with.")
    parts = judging.material(case, config["shown"])
    missing = missing_part({**parts, "output": parts.get("output", "") + case.other_output})
    if missing is not None:
        return missing
    given, refused = await votes_of(config, lambda model: _pair_vote(model, config, case, asker))
    failed = too_few(given, refused)
    if failed is not None:
        return failed
    scale = Scale("pair", (("other", 0.0), ("tie", 0.5), ("output", 1.0)))
    votes = [vote for _, (vote, _, _) in given]
    decided = judging.decide(votes, scale, config["vote"])
    told = [
        {
            "model": model,
            "label": vote.label,
            "value": vote.value,
            "reason": vote.reason,
            "first_order": judging.FROM_ORDERS[first.label],
            "second_order": judging.SWAPPED[second.label],
            "reasons": [first.reason, second.reason],
        }
        for model, (vote, first, second) in given
    ]
    agree = len({vote.label for vote in votes}) == 1 and not refused
    return scored(decided.value, decided.reason, label=decided.label, judges=[*told, *refused], agree=agree)


JUDGE_FIELDS = (RUBRIC, MODEL, SCALE, LABELS, SHOWN, SHOTS, MORE_MODELS, VOTE, PARAMETERS)
PAIR_FIELDS = (
    replace(RUBRIC, help="What makes one output better than another."),
    MODEL,
    replace(SHOWN, help=f"Of {', '.join(judging.PARTS)}, one a line; both outputs are shown."),
    MORE_MODELS,
    VOTE,
    PARAMETERS,
)

KINDS = (
    ScorerKind(
        name="judge",
        title="Judge with a rubric",
        about="A model reads the output by your rubric and gives a verdict with a reason.",
        group="judge",
        fields=JUDGE_FIELDS,
        read=config_reader(JUDGE_FIELDS, check=_check),
        ask=_judge,
        is_judge=True,
    ),
    ScorerKind(
        name="judge_pairwise",
        title="Judge between two outputs",
        about="A model compares the output with that of another run, in both orders; only a win in both counts.",
        group="judge",
        fields=PAIR_FIELDS,
        read=config_reader(PAIR_FIELDS, check=_check),
        ask=_judge_pair,
        needs=frozenset({"other_output"}),
        is_judge=True,
        is_pairwise=True,
    ),
)
