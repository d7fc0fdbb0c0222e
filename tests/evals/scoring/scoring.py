"""Scoring one case by the name of a kind, and the recorded outputs that tests score."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from apps.evals.scoring.registry import KINDS
from apps.evals.types import Case, Score

DATA = Path(__file__).parent.parent / "data"


def score(kind: str, config: dict[str, Any] | None = None, **case: Any) -> Score:
    """The score of a case by a computed kind, with settings as somebody would send them."""
    chosen = KINDS[kind]
    assert chosen.score is not None
    return chosen.score(Case(**case), chosen.read(config or {}))


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of a file of tests/evals/data."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
