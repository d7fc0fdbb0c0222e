"""What a promotion changes, in sentences."""

from __future__ import annotations

from typing import Any

import pytest

from apps.promotions.changing import MOST_SENTENCES, Candidate, sentences
from apps.prompts.content import content_from_dict

SYSTEM = {"role": "system", "content": "You help customers. Be brief."}
USER = {"role": "user", "content": "{{question}}"}
TOLD: dict[str, Any] = {
    "messages": [SYSTEM, USER],
    "variables": [{"name": "question"}],
    "model": "fast/small",
    "parameters": {"temperature": 0.2},
}


def candidate(version: str, model: str = "", **changes: Any) -> Candidate:
    """A candidate with a content like TOLD."""
    return Candidate(version, content_from_dict({**TOLD, **changes}), model)


BEFORE = candidate("1.0.0")
CASES: dict[str, tuple[Candidate | None, Candidate, list[str]]] = {
    "first": (None, candidate("1.0.0"), ["It is the first version here: 1.0.0 on fast/small."]),
    "first without a model": (
        None,
        Candidate("1.0.0", content_from_dict({**TOLD, "model": ""})),
        ["It is the first version here: 1.0.0."],
    ),
    "another model for the same version": (
        BEFORE,
        candidate("1.0.0", "fast/large"),
        ["The version stays 1.0.0.", "The model changes from fast/small to fast/large."],
    ),
    "a model that answers instead, as before": (
        candidate("1.0.0", "fast/large"),
        Candidate("1.1.0", content_from_dict({**TOLD, "model": "fast/large"})),
        ["Version 1.1.0 replaces 1.0.0."],
    ),
    "no model any more": (
        BEFORE,
        Candidate("2.0.0", content_from_dict({**TOLD, "model": ""})),
        ["Version 2.0.0 replaces 1.0.0.", "It names no model; before, it was fast/small."],
    ),
    "words, a parameter, a variable": (
        BEFORE,
        candidate(
            "1.1.0",
            messages=[{"role": "system", "content": "You help our dear customers. Be brief."}, USER],
            variables=[{"name": "question"}, {"name": "shop"}],
            parameters={"temperature": 0.5},
        ),
        [
            "Version 1.1.0 replaces 1.0.0.",
            "Message 1 (system) changed: 2 words added, 0 words removed.",
            'The variable shop is new: {"required": true, "type": "text"}.',
            "The parameter temperature changes from 0.2 to 0.5.",
        ],
    ),
    "messages": (
        BEFORE,
        candidate("2.0.0", messages=[USER, {"role": "assistant", "content": "Yes?"}]),
        [
            "Version 2.0.0 replaces 1.0.0.",
            "Message 1 (system) is gone.",
            "Message 2 (assistant) is new.",
        ],
    ),
    "nothing": (
        BEFORE,
        candidate("1.0.1"),
        ["Version 1.0.1 replaces 1.0.0.", "It says the same, word by word."],
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_says_what_changes(case: tuple[Candidate | None, Candidate, list[str]]) -> None:
    before, after, wanted = case
    assert list(sentences(before, after)) == wanted


def test_stays_short() -> None:
    many = candidate("2.0.0", parameters={f"p{place}": place for place in range(200)})
    found = sentences(BEFORE, many)
    assert len(found) == MOST_SENTENCES
    assert found[-1] == "163 more changes."
