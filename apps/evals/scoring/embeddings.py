"""Similarity of meaning, by a provider's embedding model."""

from __future__ import annotations

import math
from collections.abc import Sequence

from apps.core.errors import DomainError
from apps.evals.scoring.answers import ACCEPT_ANY, EXPECTED_PATH, expected_texts
from apps.evals.scoring.kinds import Asker, Config, Field, FieldType, ScorerKind
from apps.evals.scoring.reading import Problems, Settings, config_reader
from apps.evals.types import Case, Score, not_scored, scored, scorer_failed

MOST_CHARACTERS = 100_000
MODEL = Field("model", "Embedding model", FieldType.MODEL, "", "As connection/model; test/embed needs no key.")
FIELDS = (MODEL, EXPECTED_PATH, ACCEPT_ANY)


def cosine(one: Sequence[float], other: Sequence[float]) -> float | None:
    """The cosine of the angle between two vectors, in -1..1; None when one has no length or they do not fit."""
    if len(one) != len(other):
        return None
    lengths = math.sqrt(math.fsum(x * x for x in one)) * math.sqrt(math.fsum(y * y for y in other))
    if not lengths or not math.isfinite(lengths):
        return None
    return math.fsum(x * y for x, y in zip(one, other, strict=True)) / lengths


def _check(settings: Settings, problems: Problems) -> None:
    if not settings["model"]:
        problems["model"] = ["Choose an embedding model."]


async def _similarity(case: Case, config: Config, asker: Asker) -> Score:
    """The cosine to the nearest accepted answer; an angle of 90 degrees or more is 0."""
    texts = expected_texts(case, config)
    if isinstance(texts, Score):
        return texts
    if not case.output.strip():
        return scored(0.0, "The output is empty.")
    if sum(map(len, (case.output, *texts))) > MOST_CHARACTERS:
        return not_scored(f"There are more than {MOST_CHARACTERS:,} characters to compare.")
    try:
        vectors = await asker.embed(config["model"], [case.output, *texts])
    except DomainError as error:
        return scorer_failed(f"{config['model']} could not be asked: {error.text}")
    if len(vectors) != len(texts) + 1:
        return scorer_failed(f"{config['model']} gave {len(vectors)} vectors for {len(texts) + 1} texts.")
    found = [cosine(vectors[0], vector) for vector in vectors[1:]]
    known = [value for value in found if value is not None]
    if not known:
        return scorer_failed(f"The vectors of {config['model']} cannot be compared.")
    best = max(known)
    nearest = texts[found.index(best)]
    value = min(max(best, 0.0), 1.0)
    return scored(value, f"Cosine {best:.3f} to “{nearest[:120]}”.", cosine=round(best, 6))


KINDS = (
    ScorerKind(
        name="embedding_similarity",
        title="Similarity of meaning",
        about="The cosine between the embeddings of the output and of the nearest accepted answer.",
        group="similarity",
        fields=FIELDS,
        read=config_reader(FIELDS, check=_check),
        ask=_similarity,
        needs=frozenset({"expected"}),
    ),
)
