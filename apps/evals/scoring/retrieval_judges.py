"""Judges of answers from documents: faithfulness, context precision and recall, answer relevance.

The first three follow the definitions of RAGAS (Es, James, Espinosa-Anke and Schockaert, "RAGAS: Automated Evaluation
of Retrieval Augmented Generation", 2023, and its later context precision and recall). Each takes at most two questions,
and each question is asked at most twice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from apps.evals.scoring import judging
from apps.evals.scoring.judges import (
    MODEL,
    PARAMETERS,
    Question,
    Refused,
    ask_for,
    check_models,
    fresh_marks,
    missing_part,
    told_in_schema,
)
from apps.evals.scoring.judging import Marks, Scale, UnreadableVerdict
from apps.evals.scoring.kinds import Asker, Config, Field, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.types import Case, Json, Score, not_scored, scored, scorer_failed

T = TypeVar("T")
MOST_STATEMENTS = 40
MOST_DOCUMENTS = 50
NAMED = 5
"""So many statements are named in a reason."""

SPLIT = (
    "Split the text {name} into the single factual statements that it makes, each understandable by itself (put names"
    " in place of pronouns). Leave out greetings, questions, offers, and sentences that only say that something is not"
    f" known. At most {MOST_STATEMENTS}; an empty list when it states nothing. Keep false statements as they are."
)
SPLIT_SHAPE = '{"check": "…", "statements": ["…", …]}'
CHECK_SHAPE = '{"check": "…", "verdicts": [{"reason": "…", "verdict": "yes"}, …]}'
SUPPORT = (
    "For each numbered statement: does it follow from the DOCUMENTS alone? Use no other knowledge. The verdict is"
    ' "yes" when the documents say or clearly imply it, else "no". One verdict for each statement, in their order.'
)
USEFUL = (
    "For each numbered document in DOCUMENTS: does it hold something that is needed to answer the INPUT{well}? The"
    ' verdict is "yes" or "no". One verdict for each document, in their order.'
)
RELEVANCE = (
    "Does the OUTPUT answer what the INPUT asks? Do not judge whether it is true.\n"
    '- "direct": it answers the question that was asked.\n'
    '- "partial": it answers a part of it, or hides the answer among other things.\n'
    '- "off": it answers something else, or nothing.\n'
    '- "refusal": it says that it cannot answer, or that the answer is not known.'
)
RELEVANCE_SCALE = Scale("relevance", (("off", 0.0), ("refusal", 0.0), ("partial", 0.5), ("direct", 1.0)))
ANSWERABILITY = Field(
    "answerability",
    "Metadata that says whether there is an answer",
    default="answerability",
    help="An example where it is false, no or unanswerable wants a refusal: that scores 1 there, and an answer 0.",
)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a judge said of one numbered thing."""

    is_so: bool
    reason: str


# --- Questions


async def _statements(parts: Mapping[str, str], name: str, config: Config, asker: Asker) -> list[str]:
    """The statements of the part called `name`. Raises Refused."""
    marks = fresh_marks(*parts.values())
    shape = judging.closed(
        {
            "check": judging.check_schema(told_in_schema(config["model"], marks)),
            "statements": {"type": "array", "items": {"type": "string"}},
        }
    )
    system = judging.task(SPLIT.format(name=judging.TITLES[name]), SPLIT_SHAPE, marks)
    return await _asked(system, parts, shape, marks, config, asker, lambda text: _read_statements(text, marks))


async def _checks(text: str, parts: Mapping[str, str], count: int, config: Config, asker: Asker) -> list[Checked]:
    """A verdict on each of so many numbered things, in their order. Raises Refused."""
    marks = fresh_marks(*parts.values())
    verdict = judging.closed(
        {
            "reason": {"type": "string"},
            "verdict": {"type": "string", "enum": ["yes", "no"]},
        }
    )
    check = judging.check_schema(told_in_schema(config["model"], marks))
    shape = judging.closed({"check": check, "verdicts": {"type": "array", "items": verdict}})
    if told_in_schema(config["model"], marks) is not None:
        shape["properties"]["verdicts"] = _one_each(verdict, count)
    system = judging.task(text, CHECK_SHAPE, marks)
    return await _asked(system, parts, shape, marks, config, asker, lambda reply: _read_checks(reply, marks, count))


def _one_each(verdict: Mapping[str, Any], count: int) -> dict[str, Any]:
    """So many verdicts; the test model knows nothing but the schema."""
    return {"type": "array", "items": dict(verdict), "minItems": count, "maxItems": count}


async def _asked(
    system: str,
    parts: Mapping[str, str],
    shape: Mapping[str, Any],
    marks: Marks,
    config: Config,
    asker: Asker,
    read: Callable[[str], T],
) -> T:
    content = judging.fenced(parts, marks.boundary)
    question = Question(system, ({"role": "user", "content": content},), shape, marks)
    found, _ = await ask_for(question, config["model"], config["parameters"], asker, read)
    return found


def _read_statements(text: str, marks: Marks) -> list[str]:
    told = judging.read_object(text, marks, ("statements",))["statements"]
    if not isinstance(told, list) or not all(isinstance(one, str) for one in told):
        raise UnreadableVerdict("The statements are not a list of texts.")
    if len(told) > MOST_STATEMENTS:
        raise UnreadableVerdict(f"There are more than {MOST_STATEMENTS} statements.")
    return [judging.read_reason(one).strip() for one in told if one.strip()]


def _read_checks(text: str, marks: Marks, count: int) -> list[Checked]:
    told = judging.read_object(text, marks, ("verdicts",))["verdicts"]
    if not isinstance(told, list):
        raise UnreadableVerdict("The verdicts are not a list.")
    if len(told) != count:
        raise UnreadableVerdict(f"There must be exactly {count} verdicts, one for each number.")
    return [_read_check(one) for one in told]


def _read_check(told: Json) -> Checked:
    if not isinstance(told, dict) or set(told) != {"reason", "verdict"}:
        raise UnreadableVerdict("A verdict must have exactly: reason, verdict.")
    if told["verdict"] not in ("yes", "no"):
        raise UnreadableVerdict("A verdict is neither yes nor no.")
    return Checked(told["verdict"] == "yes", judging.read_reason(told["reason"]))


def _numbered(statements: Sequence[str]) -> str:
    return "\n".join(f"{number}. {statement}" for number, statement in enumerate(statements, start=1))


# --- Scores


async def _faithfulness(case: Case, config: Config, asker: Asker) -> Score:
    if not case.context:
        return not_scored("The example has no documents.")
    return await _share_supported(case, "output", config, asker)


async def _context_recall(case: Case, config: Config, asker: Asker) -> Score:
    if not case.context:
        return not_scored("The example has no documents.")
    if case.expected is None:
        return not_scored("The example has no expected answer.")
    return await _share_supported(case, "expected", config, asker)


async def _share_supported(case: Case, name: str, config: Config, asker: Asker) -> Score:
    """The share of the statements of a part that the documents support."""
    parts = judging.material(case, ("input", name, "context"))
    failed = missing_part({"output": "".join(parts.values())})
    if failed is not None:
        return failed
    asked = {part: text for part, text in parts.items() if part in ("input", name) and text}
    try:
        statements = await _statements(asked, name, config, asker)
        if not statements:
            return not_scored("It states nothing that documents could support.")
        fenced = {"context": parts["context"], "claims": _numbered(statements)}
        checks = await _checks(SUPPORT, fenced, len(statements), config, asker)
    except Refused as error:
        return scorer_failed(str(error))
    told = [
        {"statement": statement, "supported": check.is_so, "reason": check.reason}
        for statement, check in zip(statements, checks, strict=True)
    ]
    missed = [one["statement"] for one in told if not one["supported"]]
    value = (len(told) - len(missed)) / len(told)
    return scored(value, _reason_of(len(told), missed), label=f"{value:.3g}", statements=told)


def _reason_of(count: int, missed: Sequence[Any]) -> str:
    if not missed:
        return f"The documents support all {count} statements."
    more = f" and {len(missed) - NAMED} more" if len(missed) > NAMED else ""
    named = "; ".join(str(one)[:200] for one in missed[:NAMED])
    return f"The documents do not support {len(missed)} of {count} statements: {named}{more}"


async def _context_precision(case: Case, config: Config, asker: Asker) -> Score:
    """Context precision@K of RAGAS: the mean, over the ranks k that hold a useful document, of the share of useful
    ones among the first k. 0 when none is useful; useful ones further down weigh less."""
    if not case.context:
        return not_scored("The example has no documents.")
    if len(case.context) > MOST_DOCUMENTS:
        return scorer_failed(f"There are {len(case.context)} documents; at most {MOST_DOCUMENTS} are judged.")
    parts = {name: text for name, text in judging.material(case, ("input", "expected", "context")).items() if text}
    failed = missing_part({"output": "".join(parts.values())})
    if failed is not None:
        return failed
    well = " as EXPECTED does" if "expected" in parts else ""
    try:
        checks = await _checks(USEFUL.format(well=well), parts, len(case.context), config, asker)
    except Refused as error:
        return scorer_failed(str(error))
    useful = [check.is_so for check in checks]
    value = precision_at_ranks(useful)
    told = [
        {"document": str(document.get("id", "")), "useful": check.is_so, "reason": check.reason}
        for document, check in zip(case.context, checks, strict=True)
    ]
    idle = [str(number) for number, is_so in enumerate(useful, start=1) if not is_so]
    reason = f"Useful are {sum(useful)} of {len(useful)} documents."
    reason += f" Not useful: {', '.join(idle)}." if idle else ""
    return scored(value, reason, label=f"{value:.3g}", documents=told)


def precision_at_ranks(useful: Sequence[bool]) -> float:
    """The figure of context precision for documents in their order."""
    shares = [sum(useful[:rank]) / rank for rank, is_so in enumerate(useful, start=1) if is_so]
    return min(sum(shares) / len(shares), 1.0) if shares else 0.0


async def _answer_relevance(case: Case, config: Config, asker: Asker) -> Score:
    parts = judging.material(case, ("input", "output"))
    missing = missing_part(parts)
    if missing is not None:
        return missing
    marks = fresh_marks(*parts.values())
    question = Question(
        judging.instructions(RELEVANCE, RELEVANCE_SCALE, marks),
        ({"role": "user", "content": judging.fenced(parts, marks.boundary)},),
        judging.schema(RELEVANCE_SCALE, told_in_schema(config["model"], marks)),
        marks,
    )
    try:
        decided, _ = await ask_for(
            question,
            config["model"],
            config["parameters"],
            asker,
            lambda text: judging.read_verdict(text, RELEVANCE_SCALE, marks),
        )
    except Refused as error:
        return scorer_failed(str(error))
    if is_unanswerable(case, config["answerability"]):
        refused = decided.label == "refusal"
        sentence = "There is no answer, and it says so." if refused else "There is no answer, and it gives one."
        return scored(1.0 if refused else 0.0, f"{sentence} {decided.reason}".strip(), label=decided.label)
    return scored(decided.value, decided.reason, label=decided.label)


def is_unanswerable(case: Case, name: str) -> bool:
    """True when the example's metadata says that nothing answers it."""
    told = case.metadata.get(name) if name else None
    if isinstance(told, str):
        return told.strip().casefold() in {"false", "no", "none", "unanswerable"}
    return told is False


FIELDS = (MODEL, PARAMETERS)
RELEVANCE_FIELDS = (MODEL, ANSWERABILITY, PARAMETERS)


def _kind(name: str, title: str, about: str, ask: Callable[..., Any], needs: frozenset[str]) -> ScorerKind:
    fields = RELEVANCE_FIELDS if name == "answer_relevance" else FIELDS
    return ScorerKind(
        name=name,
        title=title,
        about=about,
        group="retrieval",
        fields=fields,
        read=config_reader(fields, check=check_models),
        ask=ask,
        needs=needs,
        is_judge=True,
    )


KINDS = (
    _kind(
        "faithfulness",
        "Faithfulness",
        "The share of the output's statements that the documents support.",
        _faithfulness,
        frozenset({"context"}),
    ),
    _kind(
        "context_precision",
        "Context precision",
        "Whether the useful documents stand first: precision at the ranks of useful ones.",
        _context_precision,
        frozenset({"context"}),
    ),
    _kind(
        "context_recall",
        "Context recall",
        "The share of the expected answer's statements that the documents support.",
        _context_recall,
        frozenset({"context", "expected"}),
    ),
    _kind(
        "answer_relevance",
        "Answer relevance",
        "Whether the output answers what was asked; where there is no answer, whether it says so.",
        _answer_relevance,
        frozenset(),
    ),
)
