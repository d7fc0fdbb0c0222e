"""Recorded answers of real models, asked for again over HTTP, come out as their publishers say, and the comparison is
the one that SciPy gives for the published verdicts."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from scipy import stats

from apps.evals.models import EvalRun, Result
from apps.evals.scoring.registry import KINDS
from apps.evals.services import executing
from apps.evals.types import ScorerChoice
from apps.projects.models import Project
from apps.projects.types import Scope
from tests import factories
from tests.evals import making, running
from tests.fakes.provider import FakeProvider
from tests.fakes.wording import Answer

pytestmark = pytest.mark.django_db(transaction=True)
DATA = Path(__file__).parent / "data"


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of a file of the data."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Recorded:
    """Two models' recorded answers to the same questions, and the scorer that judges as their publishers did."""

    kind: str
    config: dict[str, Any]
    models: tuple[str, str]
    rows: dict[tuple[str, str], dict[str, Any]]
    """By model and question: `output`, `expected`, `is_correct`."""


def solutions() -> Recorded:
    """Two models of GSM8K's publishers."""
    return _problems({}, "175b_finetuning", "175b_verification")


def frontier() -> Recorded:
    """GPT-4 and Mixtral on the same problems, whose grader compared the last run of digits."""
    letter = {"take": "last", "pattern": r"\d[\d,]*"}
    return _problems(letter, "gpt-4-1106-preview", "mistralai/Mixtral-8x7B-Instruct-v0.1")


def _problems(config: dict[str, Any], *models: str) -> Recorded:
    found = {(row["model"], row["id"]): row for row in rows("gsm8k_answers.jsonl.gz") if row["model"] in models}
    return Recorded("numeric", config, (models[0], models[1]), found)


def choices() -> Recorded:
    """RouterArena's questions with given answers, whose keys are letters or the place of the right one."""
    found = {}
    for row in rows("routerarena_pairs.jsonl.gz"):
        key = row["expected"]
        letter = chr(ord("A") + int(float(key))) if key[0].isdigit() else key.upper()
        told = {"output": row["output"], "expected": letter, "is_correct": row["score"] == 1}
        found[row["model"], row["id"]] = told
    models = sorted({model for model, _ in found})
    return Recorded("classification", {"take": "boxed", "labels": list("ABCDEFGHIJ")}, (models[0], models[1]), found)


@pytest.mark.parametrize("recorded", [solutions(), frontier(), choices()], ids=["solutions", "frontier", "choices"])
def test_gives_the_published_verdicts_and_scipys_comparison(
    recorded: Recorded, project: Project, provider: FakeProvider, client: Client
) -> None:
    questions = sorted({key: row["expected"] for (_, key), row in recorded.rows.items()}.items())
    running.publish(project)
    running.connect(project, provider)
    making.make_scorer(project, slug="right", kind=recorded.kind, config=KINDS[recorded.kind].read(recorded.config))
    examples = [{"key": key, "variables": {"question": key}, "expected": expected} for key, expected in questions]
    making.make_set(project, examples=examples)
    provider.answers = lambda body: Answer((recorded.rows[body["model"], body["messages"][0]["content"]]["output"],))
    for model in recorded.models:
        running.start(project, scorers=(ScorerChoice("right"),), model=f"fake/{model}")
    executing.work(seconds=60)

    published = [[bool(recorded.rows[model, key]["is_correct"]) for key, _ in questions] for model in recorded.models]
    for number, verdicts in enumerate(published, start=1):
        run = EvalRun.objects.get(project=project, number=number)
        assert (run.state, run.failed) == ("finished", 0)
        held = Result.objects.filter(run=run).order_by("example__key").values_list("is_passed", flat=True)
        assert list(held) == verdicts
    assert provider.count == 2 * len(questions)

    key = factories.make_key(project, Scope.EVALS)
    answer = client.get("/api/v1/comparisons?candidate=2&baseline=1", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.content
    _agrees_with_scipy(answer.json()["figures"]["scorers"][0], *(np.array(one, float) for one in published))


def _agrees_with_scipy(found: dict[str, Any], before: Any, after: Any) -> None:
    """The figures of a scorer are those of plain SciPy over the published verdicts."""
    fixed, broken = int((after > before).sum()), int((after < before).sum())
    assert fixed + broken > 0
    assert (found["wins"], found["losses"]) == (fixed, broken)
    assert found["mean"]["value"] == pytest.approx(float((after - before).mean()), abs=1e-9)
    exact = stats.binomtest(fixed, fixed + broken, 0.5).pvalue
    assert found["mean"]["test"]["p_value"] == pytest.approx(exact, abs=1e-9)
    theirs = stats.bootstrap(
        (after - before,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    ours = found["mean"]["interval"]
    assert [ours["low"], ours["high"]] == pytest.approx([theirs.low, theirs.high], abs=0.03)
