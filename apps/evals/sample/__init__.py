"""The eval sample: recorded answers of two real models to the same problems. README.md says where they are from."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("word_problems.jsonl.gz")


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem with its number as text, the slice it belongs to, and what each model answered.

    `is_right` says by model what the publishers of the answers held.
    """

    key: str
    question: str
    answer: str
    slice: str
    answers: dict[str, str]
    is_right: dict[str, bool]


def problems() -> Iterator[Problem]:
    """The problems, in the order of the original; `answers` and `is_right` are by model."""
    with gzip.open(FILE, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            answers = {model: row[column] for column, model in COLUMNS.items()}
            is_right = {model: row[f"{column}_correct"] for column, model in COLUMNS.items()}
            yield Problem(row["key"], row["question"], row["answer"], row["slice"], answers, is_right)


COLUMNS = {"gpt4": "gpt-4-1106-preview", "mixtral": "mixtral-8x7b-instruct-v0.1"}
MODELS = tuple(COLUMNS.values())
