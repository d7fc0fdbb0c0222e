"""The kinds by name, those of other packages, and the document that lists them."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from apps.evals.scoring.kinds import Config, ScorerKind
from apps.evals.scoring.reading import config_reader
from apps.evals.scoring.registry import KINDS, PROBLEMS, collect, score_with
from apps.evals.types import Case, Score, ScoreState, scored

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "scorers.md"
HERE = __name__


def _score_length(case: Case, config: Config) -> Score:
    if case.output == "raise":
        raise RuntimeError("no")
    if case.output == "wrong":
        return Score(ScoreState.SCORED, 7.0, "seven")
    return scored(float(len(case.output) < 10), "By length.")


SHORT = ScorerKind("short", "Short", "At most ten characters.", "own", (), config_reader(()), score=_score_length)
EXACT = ScorerKind("exact", "Mine", "Takes a name that is taken.", "own", (), config_reader(()), score=_score_length)
NEITHER = ScorerKind("neither", "Neither", "Has nothing to score with.", "own", (), config_reader(()))
NOTHING = 5


def _point(name: str, attribute: str) -> EntryPoint:
    return EntryPoint(name=name, value=f"{HERE}:{attribute}", group="prodworthy.scorers")


def test_has_every_kind_of_the_contract() -> None:
    names = "exact normalized contains regex numeric json_valid json_schema json_fields tool_calls edit_distance"
    names += " token_overlap rouge bleu chrf classification citations trajectory latency cost judge judge_pairwise"
    names += " faithfulness context_precision context_recall answer_relevance embedding_similarity http"
    assert set(names.split()) <= set(KINDS)
    assert PROBLEMS == []
    assert all(kind.name == name and (kind.score is None) != (kind.ask is None) for name, kind in KINDS.items())


def test_scorers_of_other_packages_come_in_and_broken_ones_stay_out(caplog: pytest.LogCaptureFixture) -> None:
    points = [_point(name.lower(), name) for name in ("SHORT", "EXACT", "NEITHER", "NOTHING", "ABSENT")]
    kinds, problems = collect(KINDS.values(), points)
    assert kinds["short"] is SHORT
    assert kinds["exact"] is KINDS["exact"]
    assert set(kinds) == {*KINDS, "short"}
    assert len(problems) == len(caplog.records) == 4
    for name, problem in zip(["absent", "exact", "neither", "nothing"], problems, strict=True):
        assert problem.startswith(f"The scorer {name} ({HERE}:{name.upper()}) ")


def test_what_a_scorer_of_another_package_does_wrong_is_its_error(caplog: pytest.LogCaptureFixture) -> None:
    assert score_with(SHORT, Case(output="ok"), {}).value == 1
    for output, said in (("raise", "RuntimeError: no"), ("wrong", "7.0; a score lies between 0 and 1")):
        found = score_with(SHORT, Case(output=output), {})
        assert (found.state, found.value) == (ScoreState.ERROR, None)
        assert said in found.reason
    assert [record.getMessage() for record in caplog.records] == ["scorer_raised"]


def test_the_document_lists_every_computed_kind_with_its_settings() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    for kind in KINDS.values():
        assert f"`{kind.name}`" in text, kind.name
        if kind.score is not None:
            section = text.split(f"### `{kind.name}`", 1)[1].split("\n##", 1)[0]
            named = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
            assert named == {field.name for field in kind.fields}, kind.name
