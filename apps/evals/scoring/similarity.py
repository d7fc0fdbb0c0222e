"""How alike two texts are: edit distance and shared words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import regex

from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, expected_texts
from apps.evals.scoring.bounds import shown
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.texts import normal_form
from apps.evals.types import Case, Score, not_scored, scored

MAX_CHARACTERS = 1_000_000
MAX_WORDS = 100_000
MAX_CHARACTER_CELLS = 10_000_000_000
"""Length of the output times length of the answers: about half a second of bit-parallel edit distance."""
MAX_WORD_CELLS = 1_000_000_000

# A word is a run of letters, marks and digits; scripts that are written without blanks count by the character.
_WORD = regex.compile(
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]|[[\p{L}\p{M}\p{N}]--[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}]]+",
    regex.V1,
)


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two bags (or sequences) share, as parts of each. `f1` is their harmonic mean; 0 when nothing is shared."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """2PR / (P + R)."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / total if total else 0.0

    def by(self, measure: str) -> float:
        """The value of `f1`, `precision` or `recall`."""
        return {"f1": self.f1, "precision": self.precision, "recall": self.recall}[measure]


MEASURE = Field(
    "measure",
    "Measure",
    FieldType.CHOICE,
    default="f1",
    choices=(("f1", "F1"), ("precision", "Precision"), ("recall", "Recall")),
    help="Precision: how much of the output is in the answer. Recall: how much of the answer is in the output.",
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation; at most one more than MAX_WORDS."""
    words: list[str] = []
    for match in _WORD.finditer(text.lower()):
        words.append(match.group())
        if len(words) > MAX_WORDS:
            break
    return words


def shared(output: Mapping[Any, int], answer: Mapping[Any, int]) -> Overlap:
    """Overlap of two bags (what is counted, and how often), each thing counting as often as it stands in both."""
    few, many = sorted((output, answer), key=len)
    common = sum(min(count, many.get(word, 0)) for word, count in few.items())
    sizes = sum(output.values()), sum(answer.values())
    return Overlap(*(common / size if size else 0.0 for size in sizes))


def too_long(output: int, answers: Sequence[int], *, most: int, cells: int, unit: str) -> Score | None:
    """The score when texts are longer than can be compared: 0 when it is the output, `not_scored` when it is what is
    expected; None when they can be. Lengths are in `unit`."""
    if max(answers, default=0) > most:
        return not_scored(f"The expected answer has more than {most:,} {unit}; longer ones are not compared.")
    if output > most:
        return scored(0.0, f"The output has more than {most:,} {unit}; longer ones are not compared.")
    if output * sum(answers) > cells:
        return scored(0.0, f"The output, with {output:,} {unit}, is too long to be compared with what is expected.")
    return None


# --- edit distance ---------------------------------------------------------------------------------------------------

EDIT_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field(
        "unit",
        "Count changes of",
        FieldType.CHOICE,
        default="characters",
        choices=(("characters", "Characters"), ("words", "Words")),
    ),
    Field("case", "Ignore case", FieldType.BOOLEAN, default=False),
    Field("blanks", "Ignore differences of blanks", FieldType.BOOLEAN, default=True),
)


def edit_similarity(one: str | Sequence[str], other: str | Sequence[str]) -> float:
    """1 − distance / length of the longer, where the distance counts insertions, deletions and replacements
    (Levenshtein 1966); 1 for two empty ones."""
    from rapidfuzz.distance import Levenshtein

    return float(Levenshtein.normalized_similarity(one, other))


def score_edit_distance(case: Case, config: Config) -> Score:
    """The edit similarity of the output with the nearest accepted answer."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    long = too_long(
        len(case.output),
        [len(text) for text in texts],
        most=MAX_CHARACTERS,
        cells=MAX_CHARACTER_CELLS,
        unit="characters",
    )
    if long:
        return long
    options = {"case": bool(config["case"]), "blanks": bool(config["blanks"]), "nfkc": False}
    output = normal_form(case.output, **options)
    wanted = [normal_form(text, **options) for text in texts]
    if config["unit"] == "words":
        words, others = output.split(), [text.split() for text in wanted]
        long = too_long(
            len(words), [len(other) for other in others], most=MAX_WORDS, cells=MAX_WORD_CELLS, unit="words"
        )
        if long:
            return long
        values = [edit_similarity(words, other) for other in others]
    else:
        values = [edit_similarity(output, other) for other in wanted]
    best = max(values)
    return scored(best, f"{best:.0%} alike {shown(texts[values.index(best)])}, by {config['unit']} changed.")


# --- token overlap ---------------------------------------------------------------------------------------------------

OVERLAP_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    MEASURE,
    Field("articles", "Ignore a, an and the", FieldType.BOOLEAN, default=True),
)


def overlap_words(text: str, *, articles: bool) -> list[str]:
    """Words as SQuAD compares them (Rajpurkar et al. 2016): lower case, punctuation taken out, articles left out."""
    normal = normal_form(text, punctuation=True, articles=articles)
    words: list[str] = []
    for word in normal.split(" "):
        words.extend(words_of(word) or ([word] if word else []))
        if len(words) > MAX_WORDS:
            break
    return words


def score_token_overlap(case: Case, config: Config) -> Score:
    """The overlap of the words of the output with those of the best accepted answer, as in SQuAD. When no word is left
    of an answer, only an output without words is right."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    if len(case.output) > 10 * MAX_WORDS:
        return scored(0.0, f"The output has more than {10 * MAX_WORDS:,} characters; longer ones are not compared.")
    words = overlap_words(case.output, articles=bool(config["articles"]))
    others = [overlap_words(text[: 10 * MAX_WORDS], articles=bool(config["articles"])) for text in texts]
    long = too_long(len(words), [len(other) for other in others], most=MAX_WORDS, cells=10**15, unit="words")
    if long:
        return long
    bag = Counter(words)
    overlaps = [shared(bag, Counter(other)) if other else Overlap(*[float(not words)] * 2) for other in others]
    values = [overlap.by(config["measure"]) for overlap in overlaps]
    place = values.index(max(values))
    best = overlaps[place]
    return scored(
        values[place],
        f"F1 {best.f1:.2f} with {shown(texts[place])}: "
        f"{best.precision:.0%} of the output's words are expected, {best.recall:.0%} of the expected are there.",
        precision=best.precision,
        recall=best.recall,
        f1=best.f1,
    )


KINDS = (
    ScorerKind(
        name="edit_distance",
        title="Edit distance",
        about="How few changes make the output the expected answer; 1 when there are none.",
        group="similarity",
        fields=EDIT_FIELDS,
        read=config_reader(EDIT_FIELDS),
        score=score_edit_distance,
        needs=frozenset({"expected"}),
    ),
    ScorerKind(
        name="token_overlap",
        title="Shared words",
        about="How many words the output and the expected answer share: F1 as in SQuAD, precision or recall.",
        group="similarity",
        fields=OVERLAP_FIELDS,
        read=config_reader(OVERLAP_FIELDS),
        score=score_token_overlap,
        needs=frozenset({"expected"}),
    ),
)
