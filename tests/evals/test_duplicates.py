"""Finding examples that ask the same, and calls that no example is like. No database."""

from __future__ import annotations

import random

import pytest

from apps.evals import near_duplicates, traffic_coverage

WORDS = [f"word{number}" for number in range(2_000)]


def sentence(dice: random.Random, length: int = 60) -> list[str]:
    """Words by chance, the same for the same seed."""
    return [dice.choice(WORDS) for _ in range(length)]


def test_finds_planted_near_duplicates_and_nothing_else() -> None:
    """Among 300 texts by chance: pairs above the threshold are found, one below it is not, though it is close."""
    dice = random.Random(7)
    texts = [" ".join(sentence(dice)) for _ in range(300)]
    planted = {}
    for place in range(20):
        words = texts[place].split()
        words[30] = "changed"  # 3 of 58 runs differ on each side: 55 shared of 61
        planted[place] = len(texts)
        texts.append(" ".join(words))
    below = texts[100].split()
    for at in (5, 15, 25, 35):
        below[at] = "changed"
    texts.append(" ".join(below))
    texts.append(texts[200].upper() + "!")
    found = near_duplicates.groups(texts)
    assert {group.members for group in found} == {*planted.items(), (200, len(texts) - 1)}
    assert [group.is_exact for group in found].count(True) == 1
    assert {round(group.similarity, 4) for group in found if not group.is_exact} == {round(55 / 61, 4)}


def test_bears_a_crowd_and_texts_without_words() -> None:
    """Thousands of equal texts are one group; texts without a word are like nothing."""
    found = near_duplicates.groups(["Where is my order?"] * 3_000 + ["", "?!", "…"])
    assert [len(group.members) for group in found] == [3_000]
    assert near_duplicates.groups([]) == near_duplicates.groups(["one"]) == []


@pytest.mark.parametrize(
    ("one", "other", "similarity"),
    [
        ("a b c d", "a b c d", 1.0),
        ("a b c d", "A, B c; D!", 1.0),
        ("a b c d", "a b c e", 1 / 3),
        ("a b", "a b c", 0.0),
        ("", "", 0.0),
    ],
)
def test_compares_runs_of_three_words(one: str, other: str, similarity: float) -> None:
    """Jaccard over three-word runs, by hand."""
    assert near_duplicates.jaccard(near_duplicates.runs_of(one), near_duplicates.runs_of(other)) == similarity


def test_tells_calls_with_an_example_like_them_from_others() -> None:
    """The words of the prompt that every call has make none of them alike."""
    prompt = "You are a helpful assistant of Fernhill Outdoor. Answer briefly."
    asked = ["Where is my order, it is late?", "Can I return worn boots?", "Which tent stands strong wind?"]
    examples = ["My order is late, where is it now?", "What if worn boots should be returned: can I?", "Opening hours?"]
    calls = [{"messages": [{"role": "system", "content": prompt}, {"role": "user", "content": text}]} for text in asked]
    texts = [traffic_coverage.asked_text(call) for call in calls]
    assert texts == asked
    found = traffic_coverage.neighbors([f"{prompt} {text}" for text in texts], [f"{prompt} {one}" for one in examples])
    assert [one.place for one in found[:2]] == [0, 1]
    assert [one.similarity >= traffic_coverage.NEIGHBOR for one in found] == [True, True, False]
    assert traffic_coverage.neighbors(["only this"], [])[0].place is None


@pytest.mark.parametrize(
    ("recorded", "text"),
    [
        ("plain", "plain"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image_url"}]}], "a"),
        ({"input": "typed"}, "typed"),
        ({"question": "why", "n": 1}, "why"),
        (5, ""),
    ],
)
def test_reads_what_a_recorded_call_asks(recorded: object, text: str) -> None:
    """The user's last words, whatever the client wrote."""
    assert traffic_coverage.asked_text(recorded) == text
