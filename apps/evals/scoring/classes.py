"""Labels: finding the one that an output gives, and what a run of them amounts to for each label."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache

import regex

from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, expected_texts
from apps.evals.scoring.bounds import Unreadable, as_text, at_path, read_json, shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.numbers import boxed_text
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.texts import normal_form
from apps.evals.types import Case, Json, Score, not_scored, scored

NO_LABEL = "(no label)"
"""What an output counts as that gives none of the labels, or cannot be read."""

LOOKED_AT = 20_000
"""Characters of an output in which labels are looked for: half at its start, half at its end."""

FIELDS = (
    Field(
        "labels",
        "Labels",
        FieldType.LIST,
        default=(),
        help="One a line. An output outside of them is wrong; none: any.",
    ),
    Field(
        "take",
        "Where the label is",
        FieldType.CHOICE,
        default="auto",
        choices=(
            ("auto", "The whole output, else one of the labels in it"),
            ("whole", "The whole output"),
            ("find", "One of the labels in it"),
            ("first_line", "The first line"),
            ("last_line", "The last line"),
            ("boxed", "In \\boxed{}"),
            ("json", "A field of the output as JSON"),
        ),
    ),
    Field(
        "several",
        "When several labels are in it",
        FieldType.CHOICE,
        default="last",
        choices=(("last", "The last counts"), ("first", "The first counts"), ("none", "It gives none")),
    ),
    Field("json_field", "Field of the JSON", default="label", help="Such as label or result.label."),
    EXPECTED_PATH,
    ACCEPT_ANY,
)


def label_form(text: str) -> str:
    """A label in the form in which it is compared: case, blanks, underscores, hyphens and quotation or Markdown marks
    around it do not count. Of a text that is longer, the first LOOKED_AT characters."""
    spaced: str = regex.sub(r"[\s_\-]+", " ", normal_form(text[:LOOKED_AT]))
    return spaced.strip(" \t\r\n\"'`*.,:;“”‘’[]")


@lru_cache(maxsize=64)
def _finder(labels: tuple[str, ...]) -> tuple[regex.Pattern[str], Mapping[str, str]]:
    # Labels of one letter are looked for as they are written: `a` is an article, and `A` is an answer.
    single = all(len(label) == 1 for label in labels)
    forms = {(label if single else label_form(label)): label for label in reversed(labels)}
    written = "|".join(regex.escape(form) for form in sorted(forms, key=len, reverse=True) if form)
    return regex.compile(rf"(?<![\p{{L}}\p{{N}}])(?:{written})(?![\p{{L}}\p{{N}}])"), forms


def find_labels(text: str, labels: tuple[str, ...]) -> list[str]:
    """The labels that stand in a text as words of their own, in their order; of one within another, the longer."""
    if len(text) > LOOKED_AT:
        text = f"{text[: LOOKED_AT // 2]}\n{text[-LOOKED_AT // 2 :]}"
    pattern, forms = _finder(labels)
    single = all(len(label) == 1 for label in labels)
    where = text if single else regex.sub(r"[\s_\-]+", " ", normal_form(text))
    return [forms[match.group()] for match in pattern.finditer(where)]


def found_label(output: str, config: Config) -> tuple[str, str]:
    """The label that an output gives, and an empty text; or NO_LABEL, and why."""
    labels, take = tuple(config["labels"]), config["take"]
    text: str | Unreadable = _place(output, take, config["json_field"])
    if isinstance(text, Unreadable):
        return NO_LABEL, text.reason
    form = label_form(text)
    if not form:
        return NO_LABEL, "The output gives no label."
    if not labels:
        return (text.strip() if len(text.strip()) <= 200 else shown(text, 200)[1:-1]), ""
    for label in labels:
        if label_form(label) == form:
            return label, ""
    if take in {"auto", "find"}:
        there = list(dict.fromkeys(find_labels(text, labels)))
        if len(there) > 1 and config["several"] == "none":
            return NO_LABEL, f"The output gives several labels: {', '.join(there[:5])}."
        if there:
            # The last one that stands in it, not the last that is new.
            return (find_labels(text, labels)[-1] if config["several"] == "last" else there[0]), ""
    return NO_LABEL, f"{shown(text.strip())} is none of the {len(labels)} labels."


def _place(output: str, take: str, json_field: str) -> str | Unreadable:
    if take == "json":
        value = read_json(output)
        if isinstance(value, Unreadable):
            return value
        is_there, label = at_path(value, json_field)
        if not is_there or isinstance(label, Mapping | list):
            return Unreadable(f"The JSON has no label at {json_field}.")
        return as_text(label)
    if take == "boxed":
        boxed = boxed_text(output)
        return Unreadable("The output has no \\boxed{}.") if boxed is None else boxed
    if take in {"first_line", "last_line"}:
        stripped = output.strip()
        return stripped.split("\n", 1)[0] if take == "first_line" else stripped.rsplit("\n", 1)[-1]
    return output


def score_classification(case: Case, config: Config) -> Score:
    """1 when the output gives the expected label. `label` is the one found, or NO_LABEL; `details` has `expected` and
    `found`, from which `classification_report` makes the figures of a run."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    labels = {label_form(label): label for label in reversed(config["labels"])}
    wanted = [labels.get(label_form(text)) if labels else text.strip() for text in texts]
    known = [label for label in wanted if label is not None]
    if not known:
        return not_scored(f"The expected label {shown(texts[0])} is none of the {len(labels)} labels.")
    found, problem = found_label(case.output, config)
    is_right = not problem and label_form(found) in {label_form(label) for label in known}
    expected = shown(next((label for label in known if label_form(label) == label_form(found)), known[0]), 200)[1:-1]
    found = expected if is_right else shown(found, 200)[1:-1]
    reason = problem or (f"Found {found}, as expected." if is_right else f"Found {found}, expected {expected}.")
    return scored(float(is_right), reason, label=found, expected=expected, found=found)


# --- the figures of a run --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """How well one label was found. `support`: how often it was expected; `predicted`: how often it was given.
    Precision is None for a label that was never given, recall for one that was never expected."""

    label: str
    precision: float | None
    recall: float | None
    f1: float
    support: int
    predicted: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often one label was expected and another given."""

    expected: str
    found: str
    count: int


@dataclass(frozen=True, slots=True)
class ClassificationReport:
    """The figures of a run of labels. Macro F1 is the mean over labels that were expected at least once, weighted F1
    weighs them by how often. `labels` are in the order of their names, `confusions` begin with the most frequent."""

    total: int
    accuracy: float | None
    macro_f1: float | None
    weighted_f1: float | None
    labels: tuple[LabelFigures, ...]
    confusions: tuple[Confusion, ...]

    def as_dict(self) -> dict[str, Json]:
        """The figures as JSON."""
        return asdict(self)


def classification_report(pairs: Iterable[tuple[str, str]], *, confusions: int = 20) -> ClassificationReport:
    """Precision, recall and F1 = 2TP / (2TP + FP + FN) by label, from pairs of the expected and the found label."""
    counts = Counter(pairs)
    expected: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for (wanted, given), count in counts.items():
        expected[wanted] += count
        found[given] += count
    labels = tuple(
        _figures(label, counts[label, label], expected[label], found[label]) for label in sorted({*expected, *found})
    )
    total, right = counts.total(), sum(count for (wanted, given), count in counts.items() if wanted == given)
    asked = [figures for figures in labels if figures.support]
    wrong = sorted(
        ((pair, count) for pair, count in counts.items() if pair[0] != pair[1]), key=lambda at: (-at[1], at[0])
    )
    return ClassificationReport(
        total=total,
        accuracy=right / total if total else None,
        macro_f1=sum(figures.f1 for figures in asked) / len(asked) if asked else None,
        weighted_f1=sum(figures.f1 * figures.support for figures in asked) / total if total else None,
        labels=labels,
        confusions=tuple(Confusion(pair[0], pair[1], count) for pair, count in wrong[:confusions]),
    )


def _figures(label: str, hits: int, support: int, predicted: int) -> LabelFigures:
    return LabelFigures(
        label=label,
        precision=hits / predicted if predicted else None,
        recall=hits / support if support else None,
        f1=2 * hits / (support + predicted),
        support=support,
        predicted=predicted,
    )


KINDS = (
    ScorerKind(
        name="classification",
        title="Classification",
        about="The output gives the expected label. Runs show precision, recall and F1 by label.",
        group="classes",
        fields=FIELDS,
        read=config_reader(FIELDS),
        score=score_classification,
        needs=frozenset({"expected"}),
    ),
)
