"""Labels of people: read from an upload, and told in the categories of a judge's scale."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.evals.examples import NOT_IN_TEXT
from apps.evals.scoring import judges
from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.types import Case, Json

MOST_ROWS = 5_000
MOST_BYTES = 20 * 1024 * 1024
MOST_ROW = 300_000
MOST_PROBLEMS = 50
LONGEST_LABEL = 200
LABELS = ("label", "labels", "human_label", "human_labels")
CASE_FIELDS = (
    "variables",
    "messages",
    "expected",
    "context",
    "metadata",
    "output",
    "tool_calls",
    "other_output",
)
PASSES = frozenset({"yes", "true", "good", "pass", "passed", "y", "1"})
FAILS = frozenset({"no", "false", "bad", "fail", "failed", "n", "0"})
PAIR_WORDS = {
    **dict.fromkeys(("output", "1", "a", "output_1", "first"), "output"),
    **dict.fromkeys(("other", "2", "b", "output_2", "second", "other_output"), "other"),
    **dict.fromkeys(("tie", "equal", "both", "same", "0.5"), "tie"),
}


class BadLabels(Exception):
    """The upload cannot be used; `problems` are sentences that name rows, the first of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__(problems[0])
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class LabeledCase:
    """One item: the case as JSON, and what each person said of it."""

    case: Mapping[str, Json]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grading:
    """How labels of people become categories of the judge.

    With a `pass_mark`, the judge gives numbers, and both sides are cut in two there: `fail` below it, `pass` from
    it on. Labels that are numbers lie in 0..1 then.
    """

    categories: tuple[str, ...]
    is_ordinal: bool = False
    is_pairwise: bool = False
    pass_mark: float | None = None
    words: Mapping[str, str] = field(default_factory=dict)

    def category(self, label: str) -> str | None:
        """The category that a person's label means; None for one that means none."""
        word = label.strip().casefold()
        if word in self.words:
            return self.words[word]
        number = number_of(label)
        if self.pass_mark is not None and number is not None:
            return "pass" if number >= self.pass_mark else "fail"
        if number is not None and number.is_integer() and str(int(number)) in self.categories:
            return str(int(number))
        return None

    def verdict(self, label: str, value: float | None) -> str | None:
        """The category of the judge's verdict."""
        if self.pass_mark is not None:
            return None if value is None else ("pass" if value >= self.pass_mark else "fail")
        return label if label in self.categories else None


def number_of(label: str) -> float | None:
    """The label as a number between 0 and a million; None for anything else."""
    try:
        number = float(label)
    except ValueError:
        return None
    return number if 0 <= number <= 1_000_000 else None


def grading_of(kind: ScorerKind, config: Config, pass_mark: float) -> Grading:
    """The categories of a judge with these settings."""
    if kind.is_pairwise:
        return Grading(("output", "other", "tie"), is_pairwise=True, words=PAIR_WORDS)
    if kind.name == "judge":
        scale = judges.scale_of(config)
        if not scale.is_number:
            categories = tuple(label for label, _ in scale.labels)
            words = {label.casefold(): label for label in categories}
            if categories == ("no", "yes"):
                words |= dict.fromkeys(FAILS, "no") | dict.fromkeys(PASSES, "yes")
            return Grading(categories, scale.is_ordinal, words=words)
    words = dict.fromkeys(FAILS - {"0"}, "fail") | dict.fromkeys(PASSES - {"1"}, "pass")
    return Grading(("fail", "pass"), pass_mark=pass_mark, words=words)


# --- Reading an upload


def read_upload(content: bytes, filename: str, grading: Grading) -> list[LabeledCase]:
    """The items of a JSON Lines or CSV file. Raises BadLabels with a sentence for each row that cannot be used.

    A row has `output`, a `label` or `labels`, and any of the other fields of a case; `input` in place of `variables` is
    a text, `output_1` and `output_2` stand for the two outputs of a pair. Other columns become variables.
    """
    if len(content) > MOST_BYTES:
        raise BadLabels([f"The file has more than {MOST_BYTES // 1024 // 1024} MiB."])
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadLabels(["The file is not in UTF-8."]) from None
    rows = _csv_rows(text) if filename.lower().endswith(".csv") else _json_rows(text)
    return read_rows(rows, grading)


def read_rows(rows: Iterator[tuple[int, Json]], grading: Grading) -> list[LabeledCase]:
    """The items of numbered rows. Raises BadLabels."""
    found: list[LabeledCase] = []
    problems: list[str] = []
    for number, row in rows:
        if len(found) >= MOST_ROWS:
            raise BadLabels([f"At most {MOST_ROWS:,} rows."])
        told = row if isinstance(row, str) else _item(row, grading)
        if isinstance(told, str):
            problems.append(f"Row {number}: {told}")
            if len(problems) >= MOST_PROBLEMS:
                break
        else:
            found.append(told)
    if problems:
        raise BadLabels(problems)
    if not found:
        raise BadLabels(["There is no row in the file."])
    return found


def _csv_rows(text: str) -> Iterator[tuple[int, Json]]:
    if "\x00" in text:
        yield 1, "It holds a character that cannot be stored."
        return
    reader = csv.DictReader(io.StringIO(text))
    try:
        for number, row in enumerate(reader, start=2):
            if None in row:
                yield number, "It has more columns than the header."
                continue
            yield number, {name: value for name, value in row.items() if value}
    except csv.Error as error:
        yield reader.line_num, f"It is not CSV: {error}."


def _json_rows(text: str) -> Iterator[tuple[int, Json]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            yield number, "It is not JSON."
            continue
        yield number, row


def _item(row: Json, grading: Grading) -> LabeledCase | str:
    """The item, or what is wrong with it."""
    if not isinstance(row, Mapping):
        return "It is not an object."
    told = dict(row)
    labels = _labels(told)
    if not labels:
        return 'It has no "label".'
    for label in labels:
        if grading.category(label) is None:
            return f"The label {label[:60]} is none of: {', '.join(grading.categories)}."
    case = _case(told)
    if isinstance(case, str):
        return case
    if not case["output"] and not case.get("tool_calls"):
        return 'It has no "output".'
    if grading.is_pairwise and not case.get("other_output"):
        return 'It has no "other_output".'
    written = json.dumps(case, default=str)
    if len(written) > MOST_ROW:
        return f"It has more than {MOST_ROW:,} characters."
    if any(NOT_IN_TEXT.search(text) for text in _texts(case)):
        return "It holds a character that cannot be stored."
    return LabeledCase(case, labels)


def _labels(told: dict[str, Json]) -> tuple[str, ...]:
    """Everybody's labels, taken out of the row; columns `label_2` and so on are further people's."""
    found: list[str] = []
    for name in [*LABELS, *sorted(name for name in told if name.startswith("label_") and name[6:].isdigit())]:
        value = told.pop(name, None)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, bool):
                found.append("yes" if one else "no")
            elif isinstance(one, str | int | float) and str(one).strip():
                found.append(str(one).strip()[:LONGEST_LABEL])
    return tuple(found)


def _case(told: dict[str, Json]) -> dict[str, Any] | str:
    """The fields of a case; what has another name becomes a variable."""
    if "output_1" in told and "output_2" in told:
        told["output"], told["other_output"] = told.pop("output_1"), told.pop("output_2")
    case: dict[str, Any] = {name: told.pop(name) for name in CASE_FIELDS if told.get(name) is not None}
    for name in ("output", "other_output"):
        if not isinstance(case.setdefault(name, "" if name == "output" else None), str | None):
            return f"{name} must be a text."
    wanted: dict[str, type] = {
        "variables": dict,
        "metadata": dict,
        "messages": list,
        "context": list,
        "tool_calls": list,
    }
    for name, kind in wanted.items():
        value = case.get(name)
        if isinstance(value, str) and value.strip()[:1] in ("{", "["):
            try:
                value = case[name] = json.loads(value)
            except (ValueError, RecursionError):
                return f"{name} is not JSON."
        elif name == "context" and isinstance(value, str):
            value = case[name] = [{"id": "1", "content": value}]
        if value is not None and not isinstance(value, kind):
            return f"{name} must be {'an object' if kind is dict else 'a list'}."
        if isinstance(value, list) and any(not isinstance(one, dict) for one in value):
            return f"{name} must be a list of objects."
    rest = {name: value for name, value in told.items() if value is not None and name}
    if rest:
        case["variables"] = {**rest, **case.get("variables", {})}
    return case


def _texts(value: Json) -> Iterator[str]:
    """Every text within the value, names included."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one


def case_of(told: Mapping[str, Json]) -> Case:
    """The case of an item, for the judge."""
    return Case(
        variables=told.get("variables") or {},
        messages=tuple(told.get("messages") or ()),
        expected=told.get("expected"),
        context=tuple(told.get("context") or ()),
        metadata=told.get("metadata") or {},
        output=told.get("output") or "",
        tool_calls=tuple(told.get("tool_calls") or ()),
        other_output=told.get("other_output"),
    )
