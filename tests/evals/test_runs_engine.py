"""Runs, from their start to their end, against a provider on real sockets."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, connections

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import DomainError, Invalid
from apps.evals import pacing
from apps.evals.brought import Output
from apps.evals.models import EvalRun, Result, ResultScore
from apps.evals.scoring.kinds import Asker, Config, ScorerKind
from apps.evals.scoring.registry import KINDS
from apps.evals.selectors import estimates
from apps.evals.services import executing, executing_rows, runs
from apps.evals.types import Case, RunKind, Score, ScorerChoice, scored, scorer_failed
from apps.projects.models import Project
from apps.prompts.types import Syntax
from apps.providers.calls import ModelRequest
from tests import factories
from tests.evals import making, running
from tests.fakes.provider import FakeProvider, Fault, Script

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are woken by the tests: a start does not execute the run on the spot."""
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)


def finished(run: EvalRun) -> EvalRun:
    """The run after a worker's turn."""
    executing.work(seconds=60)
    run.refresh_from_db()
    return run


def spans(run: EvalRun) -> list[tuple[str, str, Decimal | None]]:
    """Source, status and cost of the spans of the run's calls."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT source, status, cost_usd FROM telemetry_span WHERE project_id = %s ORDER BY started_at",
            [run.project_id],
        )
        return list(cursor.fetchall())


def test_runs_every_example_once_and_tells_what_it_cost(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 3)
    running.price(project)
    run = finished(running.start(project, repetitions=2))
    assert (run.state, run.sentence, run.done, run.failed, run.calls) == ("finished", "", 6, 0, 6)
    assert provider.count == 6
    results = list(Result.objects.filter(run=run))
    assert {(result.state, result.output, result.value, result.is_passed) for result in results} == {
        ("done", running.SAID, 1.0, True)
    }
    assert ResultScore.objects.filter(run=run, state="scored", value=1.0).count() == 6
    told = spans(run)
    assert [source for source, *_ in told] == ["eval"] * 6
    assert sum(cost or 0 for *_, cost in told) == sum(result.cost_usd or 0 for result in results) == run.spent_usd > 0
    assert run.untraced_calls == 0
    assert all(result.is_traced for result in results)
    assert run.summary is not None
    assert run.summary["overall"]["mean"] == 1.0


def states(run: EvalRun) -> dict[str, str]:
    """How each example ended: its state, and why it failed."""
    rows = Result.objects.filter(run=run).values_list("example__key", "state", "error_code")
    return {key: f"{state} {code}".strip() for key, state, code in rows}


def test_tries_again_what_may_go_well_and_only_what_failed_when_asked(
    project: Project, provider: FakeProvider, alice: User
) -> None:
    running.ready(project, provider, 4)
    script(provider, "Question 0?", Script(Fault.STATUS, 503), Script(Fault.STATUS, 503), None)
    script(provider, "Question 1?", *[Script(Fault.STATUS, 500)] * 3, None)
    script(provider, "Question 2?", Script(Fault.STATUS, 400, text="too long"), None)
    run = finished(running.start(project, concurrency=1))
    assert states(run) == {
        "k0000": "done",
        "k0001": "failed provider_refused",
        "k0002": "failed provider_refused",
        "k0003": "done",
    }
    assert (run.state, run.done, run.failed, run.calls, provider.count) == ("finished", 2, 2, 8, 8)
    assert "too long" in Result.objects.get(run=run, example__key="k0002").error
    kept = list(Result.objects.filter(run=run, state="done").order_by("id").values())

    runs.retry_failed(run=run, actor=factories.actor_of(alice), now=clock.now())
    run = finished(run)
    assert set(states(run).values()) == {"done"}
    assert (run.state, run.done, run.failed, provider.count) == ("finished", 4, 0, 10)
    assert list(Result.objects.filter(run=run, id__in=[row["id"] for row in kept]).order_by("id").values()) == kept
    with pytest.raises(runs.NothingFailed):
        runs.retry_failed(run=run, actor=factories.actor_of(alice), now=clock.now())
    assert [status for _, status, _ in spans(run)].count("error") == 2


def test_stops_before_the_budget_is_spent(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 30)
    running.price(project)
    # 20 tokens in and 9 out are 0.11 USD; the worst of a call is some 0.1 USD more.
    run = finished(running.start(project, budget_usd=Decimal(1), parameters={"max_tokens": 20}, concurrency=16))
    assert (run.state, run.reason) == ("over_budget", "over_budget")
    assert "does not cover another call" in run.sentence
    assert Decimal("0.5") < run.spent_usd <= 1
    assert provider.count == run.calls == run.done
    assert Result.objects.filter(run=run, state="canceled").count() == 30 - run.done


def test_uses_answers_that_are_kept_and_says_so(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 3)
    running.price(project)
    first = finished(running.start(project, repetitions=2))
    second = finished(running.start(project))
    assert provider.count == 6, "repetitions are calls of their own, and the second run makes none"
    assert (second.from_cache, second.calls, second.spent_usd, second.done) == (3, 0, Decimal(0), 3)
    pairs = [
        dict(run.results.filter(repetition=0).values_list("example__key", "latency_ms")) for run in (first, second)
    ]
    assert pairs[0] == pairs[1]
    finished(running.start(project, use_cache=False))
    assert provider.count == 9


def test_fails_with_what_to_do_when_the_provider_lets_nobody_in(
    project: Project, provider: FakeProvider, alice: User
) -> None:
    running.ready(project, provider, 30)
    provider.by_model["fake-1"] = Script(Fault.STATUS, 401, text="bad key")
    run = finished(running.start(project, concurrency=4))
    assert (run.state, run.reason) == ("failed", "provider_down")
    assert "Put in a new one" in run.sentence
    assert provider.count < 15
    assert set(states(run).values()) == {"failed provider_refused", "failed not_called"}
    provider.by_model.clear()
    runs.retry_failed(run=run, actor=factories.actor_of(alice), now=clock.now())
    run = finished(run)
    assert (run.state, run.done, run.failed, run.sentence) == ("finished", 30, 0, "")


def test_waits_for_a_provider_that_is_away_and_then_gives_up(
    project: Project, provider: FakeProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pacing, "DOWN_PAUSES", (0.05, 0.1))
    monkeypatch.setattr(pacing, "FIRST_WAIT", 0.01)
    running.ready(project, provider, 40)
    provider.by_model["fake-1"] = Script(Fault.CLOSE)
    run = finished(running.start(project, concurrency=2))
    assert (run.state, run.reason) == ("failed", "provider_down")
    assert provider.count < 30
    assert "Check the address" in run.sentence


def test_a_storm_of_refusals_slows_one_run_and_not_the_other(
    project: Project, other_project: Project, provider: FakeProvider
) -> None:
    running.ready(project, provider, 30)
    running.ready(other_project, provider, 30)
    provider.by_model["fake-1"] = Script(Fault.STATUS, 429, retry_after="3")
    stormy = running.start(project, concurrency=10)
    calm = running.start(other_project, concurrency=10, model="fake/fake-2")

    def turn() -> None:
        executing.work(seconds=60)
        connections.close_all()

    working = threading.Thread(target=turn)
    working.start()
    assert provider.wait_until(lambda _: EvalRun.objects.get(pk=calm.pk).state == "finished")
    assert EvalRun.objects.get(pk=stormy.pk).state == "running"
    del provider.by_model["fake-1"]
    working.join(60)
    finished(stormy)
    calm.refresh_from_db()
    assert (stormy.state, stormy.done, stormy.failed) == ("finished", 30, 0)
    assert (calm.state, calm.done, calm.failed) == ("finished", 30, 0)
    refused = provider.count - 60
    assert 0 < refused <= 20, "each refused call was made once more"


def test_a_canceled_run_begins_no_further_call(project: Project, provider: FakeProvider, alice: User) -> None:
    running.ready(project, provider, 60)
    provider.by_model["fake-1"] = Script(Fault.SLOW_START, seconds=0.3)
    run = running.start(project, concurrency=2)

    def turn() -> None:
        executing.work(seconds=60)
        connections.close_all()

    working = threading.Thread(target=turn)
    working.start()
    assert provider.wait_until(lambda one: one.count >= 2)
    asked = time.monotonic()
    runs.cancel_run(run=run, actor=factories.actor_of(alice), now=clock.now())
    working.join(20)
    run.refresh_from_db()
    assert run.state == "canceled"
    assert provider.calls[-1].at - asked < 5
    assert run.done == provider.count == run.calls < 60
    assert Result.objects.filter(run=run, state="canceled").count() == 60 - run.done
    with pytest.raises(runs.RunEnded):
        runs.cancel_run(run=run, actor=factories.actor_of(alice), now=clock.now())


def test_goes_on_from_the_rows_that_a_dead_worker_left(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 6)
    running.price(project)
    run = running.start(project, budget_usd=Decimal(100))
    [(run_id, token)] = executing_rows.take_due(now=clock.now(), most=5).items()
    assert executing_rows.take_due(now=clock.now(), most=5) == {}, "nobody takes what somebody holds"
    first, second, *_ = executing_rows.load_page(run_id, 0)
    mark = {"id": first["id"], "state": "calling", "tries": 1, "trace_id": "ab" * 16, "span_id": "cd" * 8}
    writes = [executing_rows.Write(run_id, mark=mark, counts={"calls": 1})]
    assert executing_rows.flush(writes, {run_id: token}, now=clock.now()) == {}

    EvalRun.objects.filter(pk=run_id).update(lease_until=clock.now() - timedelta(seconds=1))
    run = finished(run)
    assert (run.state, run.done, run.leases, run.lost_calls) == ("finished", 6, 2, 1)
    assert provider.count == 6
    assert run.lost_usd > 0, "the call was perhaps paid"
    assert Result.objects.get(pk=first["id"]).interrupted == 1

    late = executing_rows.Write(run_id, mark={**mark, "id": second["id"]}, counts={"done": 5, "spent_usd": Decimal(7)})
    assert isinstance(executing_rows.flush([late], {run_id: token}, now=clock.now())[0], executing_rows.LeaseLost)
    assert set(states(run).values()) == {"done"}
    assert EvalRun.objects.get(pk=run_id).spent_usd == run.spent_usd


def test_scores_outputs_that_were_brought(project: Project) -> None:
    making.make_scorer(project, config=KINDS["exact"].read({}))
    making.make_set(project, examples=running.many(3))
    run = running.start(project, kind=RunKind.OUTPUTS, prompt="", model="somewhere else")
    assert executing.work(seconds=5) == 0, "nobody works on it before all outputs are there"
    with pytest.raises(Invalid, match="nobody-knows"):
        runs.add_outputs(run=run, outputs=[Output("nobody-knows")], now=clock.now())
    some = [Output("k0000", running.SAID, latency_ms=12, cost_usd=Decimal("0.5")), Output("k0001", "No idea.")]
    assert runs.add_outputs(run=run, outputs=some, now=clock.now()) == 2
    with pytest.raises(runs.NoOutputsWanted):
        runs.add_outputs(run=run, outputs=some, now=clock.now())
    run = finished(run)
    assert states(run) == {"k0000": "done", "k0001": "done", "k0002": "failed no_output"}
    assert dict(run.results.values_list("example__key", "value")) == {"k0000": 1.0, "k0001": 0.0, "k0002": None}
    assert (run.state, run.done, run.failed, run.calls, run.spent_usd) == ("finished", 2, 1, 0, Decimal(0))


def test_a_scorer_that_raises_costs_its_score_alone(
    project: Project, provider: FakeProvider, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    running.ready(project, provider, 2)

    def broken(_case: Case, _config: Config) -> Score:
        raise ZeroDivisionError

    kind = ScorerKind("broken", "Broken", "Raises.", "own", (), read=lambda config: config, score=broken)
    monkeypatch.setitem(KINDS, "broken", kind)
    making.make_scorer(project, "broken", "broken")
    choices = (ScorerChoice("exact"), ScorerChoice("broken"))
    run = finished(running.start(project, scorers=choices))
    assert (run.state, run.done, run.failed) == ("finished", 2, 0)
    assert set(ResultScore.objects.filter(run=run).values_list("scorer__slug", "state", "value")) == {
        ("exact", "scored", 1.0),
        ("broken", "error", None),
    }
    assert set(run.results.values_list("value", "is_passed")) == {(None, None)}
    monkeypatch.setitem(KINDS, "broken", replace(kind, score=lambda *_: scored(1.0, "mended")))
    runs.retry_failed(run=run, actor=factories.actor_of(alice), now=clock.now())
    run = finished(run)
    assert set(run.results.values_list("value", "is_passed")) == {(1.0, True)}
    assert provider.count == 2, "the answers are kept"


def test_takes_an_example_of_five_megabytes_and_one_that_cannot_be_rendered(
    project: Project, provider: FakeProvider
) -> None:
    running.publish(project)
    running.connect(project, provider)
    making.make_scorer(project, config=KINDS["exact"].read({}))
    large = {
        "key": "large",
        "variables": {"question": "y" * 900_000},
        "expected": running.SAID,
        "context": [{"id": "d", "content": "word " * 1_000_000}],
    }
    wrong = {"key": "wrong", "variables": {"question": {"not": "text"}}}
    making.make_set(project, examples=[large, wrong, *running.many(1)])
    run = finished(running.start(project))
    assert states(run) == {"large": "done", "wrong": "failed template_error", "k0000": "done"}
    assert provider.count == 2


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"eval_set": "nothing"}, "no such eval set"),
        ({"eval_set": "empty"}, "has no examples"),
        ({"eval_set": "drafts"}, "none that is approved"),
        ({"slices": ("mars",)}, "slices mars"),
        ({"model": "nowhere/gpt"}, "No connection of this project offers"),
        ({"model": ""}, "names no model"),
        ({"prompt": "nobody"}, "no prompt nobody"),
        ({"version": "9.9.9"}, "no version 9.9.9"),
        ({"eval_set": "others"}, "1 of 1 examples give no value for question, such as o."),
        ({"budget_usd": Decimal(1)}, "Nobody knows what a call"),
        ({"scorers": ()}, "at least one scorer"),
        ({"scorers": (ScorerChoice("nobody"),)}, "no scorer nobody"),
        ({"concurrency": 0}, "Between 1 and"),
    ],
)
def test_refuses_what_cannot_be_run(
    project: Project, provider: FakeProvider, changes: dict[str, Any], sentence: str
) -> None:
    running.ready(project, provider, 1)
    making.make_set(project, "empty")
    making.make_set(project, "drafts", examples=running.many(1), approved=False)
    making.make_set(project, "others", examples=[{"key": "o", "variables": {"topic": "x"}}])
    with pytest.raises(DomainError, match=sentence):
        running.start(project, **changes)
    assert not EvalRun.objects.exists()


def script(provider: FakeProvider, question: str, *faults: Script | None) -> None:
    """What happens to the calls with this question, one after the other."""
    provider.by_text[question] = deque(faults)


def test_asks_judges_tells_of_them_and_renders_jinja(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 2)
    running.price(project)
    content = replace(running.ASK, syntax=Syntax.JINJA)
    running.publish(project, content, "jinja")

    async def ask(case: Case, config: Config, asker: Asker) -> Score:
        asked = await asker.ask("fake/fake-1", ModelRequest(messages=({"role": "user", "content": case.output},)))
        return scored(0.25, asked.reply.text) if config["sane"] else scorer_failed("The judge said nonsense.")

    kind = ScorerKind("asks", "Asks", "Asks.", "own", (), read=lambda config: config, ask=ask)
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(KINDS, "asks", kind)
        making.make_scorer(project, "sane", "asks", {"model": "fake/fake-1", "sane": True})
        making.make_scorer(project, "mad", "asks", {"model": "fake/fake-1", "sane": False})
        choices = (ScorerChoice("sane"), ScorerChoice("mad"))
        guess = estimates.estimate(project, replace(running.SPEC, prompt="jinja", scorers=choices), now=clock.now())
        run = finished(running.start(project, prompt="jinja", scorers=choices))
    assert (run.state, run.done, run.calls, provider.count) == ("finished", 2, 2, 6)
    assert (guess.calls, guess.judge_calls, guess.examples) == (2, 4, 2)
    assert guess.cost_usd is not None
    scores = ResultScore.objects.filter(run=run)
    assert set(scores.values_list("scorer__slug", "state", "value")) == {
        ("sane", "scored", 0.25),
        ("mad", "error", None),
    }
    assert sum(score.cost_usd or 0 for score in scores) == run.judge_spent_usd > 0
    told = spans(run)
    assert sorted(source for source, *_ in told) == ["eval"] * 2 + ["judge"] * 4
    assert sum(cost or 0 for *_, cost in told) == run.spent_usd + run.judge_spent_usd
    assert set(run.results.values_list("is_passed", flat=True)) == {False}, (
        "0.25 misses the mark, whatever the other says"
    )
