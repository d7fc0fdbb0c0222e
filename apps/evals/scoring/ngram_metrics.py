"""ROUGE, BLEU and chrF of one output against its references."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, expected_texts
from apps.evals.scoring.kinds import Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.similarity import MAX_WORD_CELLS, MAX_WORDS, MEASURE, Overlap, shared, too_long, words_of
from apps.evals.types import Case, Score, scored

MAX_BLEU_CHARACTERS = 200_000
MAX_CHRF_CHARACTERS = 50_000
"""Every length of n-gram of every character is counted: this many take some 100 MB at worst."""

# --- ROUGE -----------------------------------------------------------------------------------------------------------

ROUGE_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field(
        "variant",
        "Variant",
        FieldType.CHOICE,
        default="rougeL",
        choices=(("rouge1", "ROUGE-1: words"), ("rouge2", "ROUGE-2: pairs of words"), ("rougeL", "ROUGE-L: in order")),
    ),
    MEASURE,
)


def _grams(words: Sequence[str], variant: str) -> Counter[Any]:
    return Counter(words) if variant == "rouge1" else Counter(zip(words, words[1:], strict=False))


def rouge(output: Sequence[str], reference: Sequence[str], variant: str) -> Overlap:
    """ROUGE-1, ROUGE-2 (n-grams, each counting as often as in both) or ROUGE-L (longest common subsequence) of two
    lists of words (Lin 2004), without stemming."""
    if variant != "rougeL":
        return shared(_grams(output, variant), _grams(reference, variant))
    from rapidfuzz.distance import LCSseq

    length = LCSseq.similarity(output, reference)
    return Overlap(length / len(output) if output else 0.0, length / len(reference) if reference else 0.0)


def score_rouge(case: Case, config: Config) -> Score:
    """ROUGE against the best of the references."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    words, others = words_of(case.output), [words_of(text) for text in texts]
    long = too_long(len(words), [len(other) for other in others], most=MAX_WORDS, cells=MAX_WORD_CELLS, unit="words")
    if long:
        return long
    overlaps = [rouge(words, other, config["variant"]) for other in others]
    best = max(overlaps, key=lambda overlap: overlap.by(config["measure"]))
    name = {"rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "rougeL": "ROUGE-L"}[config["variant"]]
    return scored(
        best.by(config["measure"]),
        f"{name}: F1 {best.f1:.3f}, precision {best.precision:.3f}, recall {best.recall:.3f}.",
        f1=best.f1,
        precision=best.precision,
        recall=best.recall,
    )


# --- BLEU and chrF ---------------------------------------------------------------------------------------------------

BLEU_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field(
        "tokenize",
        "Words",
        FieldType.CHOICE,
        default="13a",
        choices=(
            ("13a", "As mteval 13a (European languages)"),
            ("intl", "By Unicode classes"),
            ("zh", "Chinese"),
            ("char", "Characters"),
            ("none", "As they are, between blanks"),
        ),
    ),
    Field("lowercase", "Ignore case", FieldType.BOOLEAN, default=False),
)

CHRF_FIELDS = (
    EXPECTED_PATH,
    ACCEPT_ANY,
    Field(
        "word_order",
        "Words too",
        FieldType.CHOICE,
        default="0",
        choices=(("0", "No: chrF"), ("2", "Up to pairs: chrF++")),
    ),
    Field("lowercase", "Ignore case", FieldType.BOOLEAN, default=False),
)


@lru_cache(maxsize=16)
def _bleu(tokenize: str, lowercase: bool) -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(tokenize=tokenize, lowercase=lowercase, effective_order=True, smooth_method="exp")


@lru_cache(maxsize=8)
def _chrf(word_order: int, lowercase: bool) -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF(word_order=word_order, lowercase=lowercase)


def _forget(tokenizer: object) -> None:
    # Its tokenizers keep their last 65,536 texts each, which would be all of the memory with long outputs.
    for part in (tokenizer, *vars(tokenizer).values()):
        clear = getattr(vars(type(part)).get("__call__"), "cache_clear", None)
        if clear is not None:
            clear()


def score_bleu(case: Case, config: Config) -> Score:
    """BLEU of one sentence (Papineni et al. 2002) by sacreBLEU, with orders that are too long for the sentence left out
    and exponential smoothing, divided by 100; all references count together."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    long = _too_long(case.output, texts, MAX_BLEU_CHARACTERS)
    if long:
        return long
    metric = _bleu(config["tokenize"], bool(config["lowercase"]))
    result = metric.sentence_score(case.output, list(texts))
    _forget(metric.tokenizer)
    precisions = ", ".join(f"{value:.0f}" for value in result.precisions)
    return scored(
        _share(result.score),
        f"BLEU {result.score:.1f}: {precisions} % of 1 to 4 words in a row, brevity {result.bp:.2f}.",
    )


def score_chrf(case: Case, config: Config) -> Score:
    """chrF (Popović 2015) or chrF++ (2017) of one sentence by sacreBLEU against the best reference, divided by 100."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    long = _too_long(case.output, texts, MAX_CHRF_CHARACTERS)
    if long:
        return long
    result = _chrf(int(config["word_order"]), bool(config["lowercase"])).sentence_score(case.output, list(texts))
    return scored(_share(result.score), f"chrF{'++' if config['word_order'] == '2' else ''} {result.score:.1f}.")


def _too_long(output: str, texts: Sequence[str], most: int) -> Score | None:
    # All references together may be as long as ten times the most, so that a hundred of them take no longer than that.
    return too_long(len(output), [len(text) for text in texts], most=most, cells=10 * most * most, unit="characters")


def _share(percent: float) -> float:
    return min(1.0, max(0.0, percent / 100.0))


KINDS = (
    ScorerKind(
        name="rouge",
        title="ROUGE",
        about="Words, pairs of words or the longest sequence shared with a reference.",
        group="similarity",
        fields=ROUGE_FIELDS,
        read=config_reader(ROUGE_FIELDS),
        score=score_rouge,
        needs=frozenset({"expected"}),
    ),
    ScorerKind(
        name="bleu",
        title="BLEU",
        about="Runs of up to four words shared with references, as for translations.",
        group="similarity",
        fields=BLEU_FIELDS,
        read=config_reader(BLEU_FIELDS),
        score=score_bleu,
        needs=frozenset({"expected"}),
    ),
    ScorerKind(
        name="chrf",
        title="chrF",
        about="Runs of up to six characters shared with a reference; good for languages with many word forms.",
        group="similarity",
        fields=CHRF_FIELDS,
        read=config_reader(CHRF_FIELDS),
        score=score_chrf,
        needs=frozenset({"expected"}),
    ),
)
