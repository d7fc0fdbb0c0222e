"""Recorded answers of real models, asked for again over HTTP, come out as their publishers say, and the comparison is
the one that SciPy gives for the published verdicts."""

from __future__ import annotations

import gzip
import json
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
MODELS = ("175b_finetuning", "175b_verification")


def rows(name: str) -> list[dict[str, Any]]:
    """The lines of a file of the data."""
    with gzip.open(DATA / name, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


@pytest.fixture
def verdicts(project: Project, provider: FakeProvider) -> dict[str, dict[str, bool]]:
    """A run of each model over the same problems; what the publishers say of each answer, by model and problem."""
    recorded = {(row["model"], row["id"]): row for row in rows("gsm8k_answers.jsonl.gz") if row["model"] in MODELS}
    problems = sorted({key: row["expected"] for (_, key), row in recorded.items()}.items())
    running.publish(project)
    running.connect(project, provider)
    making.make_scorer(project, slug="number", kind="numeric", config=KINDS["numeric"].read({}))
    examples = [{"key": key, "variables": {"question": key}, "expected": expected} for key, expected in problems]
    making.make_set(project, examples=examples)
    provider.answers = lambda body: Answer((recorded[body["model"], body["messages"][0]["content"]]["output"],))
    for model in MODELS:
        running.start(project, scorers=(ScorerChoice("number"),), model=f"fake/{model}")
    executing.work(seconds=60)
    return {model: {key: recorded[model, key]["is_correct"] for key, _ in problems} for model in MODELS}


def test_gives_the_published_verdicts_and_scipys_comparison(
    verdicts: dict[str, dict[str, bool]], project: Project, provider: FakeProvider, client: Client
) -> None:
    for number, model in enumerate(MODELS, start=1):
        run = EvalRun.objects.get(project=project, number=number)
        assert (run.state, run.failed) == ("finished", 0)
        assert dict(Result.objects.filter(run=run).values_list("example__key", "is_passed")) == verdicts[model]
    assert provider.count == 2 * len(verdicts[MODELS[0]])

    key = factories.make_key(project, Scope.EVALS)
    answer = client.get("/api/v1/comparisons?candidate=2&baseline=1", headers={"authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.content
    found = answer.json()["figures"]["scorers"][0]
    before, after = (np.array([verdicts[model][name] for name in sorted(verdicts[model])], float) for model in MODELS)
    fixed, broken = int(((after == 1) & (before == 0)).sum()), int(((after == 0) & (before == 1)).sum())
    assert (found["wins"], found["losses"]) == (fixed, broken)
    assert found["mean"]["value"] == pytest.approx(float((after - before).mean()), abs=1e-9)
    exact = stats.binomtest(fixed, fixed + broken, 0.5).pvalue
    assert found["mean"]["test"]["p_value"] == pytest.approx(exact, abs=1e-9)
    theirs = stats.bootstrap(
        (after - before,), np.mean, n_resamples=20_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    ours = found["mean"]["interval"]
    assert [ours["low"], ours["high"]] == pytest.approx([theirs.low, theirs.high], abs=0.03)
    assert answer.json()["verdict"] == "better"
