"""Edit distance, shared words, ROUGE, BLEU and chrF."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evals.scoring.scoring import rows, score

LIKENESS = ("edit_distance", "token_overlap", "rouge", "bleu", "chrf")


@pytest.mark.parametrize(
    ("kind", "config", "expected", "output", "value"),
    [
        ("edit_distance", {}, "kitten", "sitting", 1 - 3 / 7),
        ("edit_distance", {"unit": "words"}, "the cat sat", "the dog sat", 2 / 3),
        ("edit_distance", {"case": True}, "ABC", "abc", 1),
        ("edit_distance", {}, ["xxxx", "abcd"], "abce", 0.75),
        ("edit_distance", {}, "abc", "", 0),
        ("token_overlap", {}, "The cat sat on the mat", "a cat on a mat", 2 * 1 * 0.75 / 1.75),
        ("token_overlap", {"measure": "precision"}, "cat sat on mat", "cat on mat", 1),
        ("token_overlap", {"measure": "recall"}, "cat sat on mat", "cat on mat", 0.75),
        ("token_overlap", {}, "the", "", 1),
        ("token_overlap", {}, "the", "dog", 0),
        ("token_overlap", {}, "北京大学", "北京", 2 * 1 * 0.5 / 1.5),
        ("rouge", {"variant": "rouge1"}, "a b c d", "a c x", 2 * (2 / 3) * (2 / 4) / (2 / 3 + 2 / 4)),
        ("rouge", {"variant": "rouge2", "measure": "recall"}, "a b c d", "a b x c d", 2 / 3),
        ("rouge", {"measure": "recall"}, "police killed the gunman", "police kill the gunman", 0.75),
        ("rouge", {"measure": "recall"}, "police killed the gunman", "the gunman kill police", 0.5),
        ("rouge", {"variant": "rouge2"}, "a", "a", 0),
        ("bleu", {"tokenize": "none"}, "a b c d", "a b c d", 1),
        ("bleu", {}, "the cat", "dog", 0),
        ("chrf", {}, "abcdef", "uvwxyz", 0),
        ("rouge", {}, None, "x", None),
        ("chrf", {}, "  ", "x", None),
    ],
)
def test_known_values(kind: str, config: dict[str, Any], expected: Any, output: str, value: float | None) -> None:
    found = score(kind, config, expected=expected, output=output)
    assert found.value == (None if value is None else pytest.approx(value, abs=1e-12)), found.reason


def test_rouge_l_is_the_published_one() -> None:
    """Of MTRAG's human evaluation, to the last place."""
    published = rows("mtrag_answers.jsonl.gz")
    for row in published:
        found = score("rouge", expected=row["reference"], output=row["response"])
        assert found.value == pytest.approx(row["auto_RougeL"], abs=1e-9), row["task_id"]
    assert any(row["auto_RougeL"] < 0.5 for row in published)


def test_bleu_and_chrf_follow_their_definitions() -> None:
    """One unigram of two missing, no bigram: exponential smoothing counts half of a match (Chen and Cherry 2014), and
    orders that are too long are left out, so that BLEU is sqrt(1/2 x 1/2). The words of chrF++ are all there."""
    assert score("bleu", {"tokenize": "none"}, expected="a b", output="a c").value == pytest.approx(0.5)
    plain = score("chrf", expected="the cat sat", output="cat the sat").value
    words = score("chrf", {"word_order": "2"}, expected="the cat sat", output="cat the sat").value
    assert plain is not None
    assert words is not None
    assert 0 < plain < words < 1


WORDS = st.lists(st.sampled_from(["alpha", "beta", "gamma", "delta", "one"]), min_size=1, max_size=8).map(" ".join)


@given(WORDS, WORDS)
def test_likeness_is_bounded_complete_with_itself_and_symmetric_where_it_should_be(one: str, other: str) -> None:
    for kind in LIKENESS:
        there, back = (score(kind, expected=a, output=b).value for a, b in ((one, other), (other, one)))
        assert there is not None
        assert back is not None
        assert 0 <= there <= 1
        assert score(kind, expected=one, output=one).value == pytest.approx(1)
        if kind in {"edit_distance", "token_overlap", "rouge"}:
            assert there == pytest.approx(back)


@pytest.mark.parametrize("kind", LIKENESS)
def test_texts_that_are_too_long_end_at_once_with_a_reason(kind: str) -> None:
    long = "word 12 " * 150_000
    by_output = score(kind, expected="short", output=long)
    by_answer = score(kind, expected=long, output="short")
    assert (by_output.value, by_answer.value) == (0, None)
    assert "longer ones are not compared" in by_output.reason
    assert "longer ones are not compared" in by_answer.reason
