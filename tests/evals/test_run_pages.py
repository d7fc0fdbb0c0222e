"""Pages of runs and results: what they say, that nothing unscored hides, and what they cost."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.evals.models import EvalRun, EvalSet, Result
from apps.evals.selectors import results, runs
from apps.evals.selectors.results import ResultFilter
from apps.projects.models import Project
from tests.evals import making, run_making
from tests.evals.run_making import Came, publish_answer

MOST_QUERIES = 12
HERE = "/p/support-desk/eval-runs"
MIXED = {
    "a": Came((1.0, 0.9)),
    "b": Came((0.0, 0.9), output="Lyon"),
    "c": Came((1.0, 0.2), output="Rome"),
    "d": Came((1.0, "not_scored")),
    "e": Came(("error", 0.9)),
    "f": Came(error="rate_limited"),
    "g": Came((0.0, 0.1), output="<b>Oslo</b>"),
    "h": Came((1.0, 1.0)),
}


@pytest.fixture
def mixed(project: Project) -> EvalRun:
    """Run 2 of eight examples that came out in every way there is; in run 1, `a` to `c` passed."""
    examples = [
        {
            "key": key,
            "variables": {"question": f"Capital {key}?"},
            "expected": "Paris",
            "slices": ["x" if key < "e" else "y"],
        }
        for key in MIXED
    ]
    eval_set = making.make_set(project, examples=examples)
    scorers = [making.make_scorer(project), making.make_scorer(project, "tone", "judge")]
    run_making.make_run(project, eval_set, scorers, dict.fromkeys("abc", Came((1.0, 1.0))), number=1)
    return run_making.make_run(project, eval_set, scorers, MIXED, number=2, prompt_version="1.1.0")


def keys(page: results.ResultPage) -> list[str]:
    """The keys of the lines."""
    return [line.key for line in page.items]


@pytest.mark.parametrize("limit", [1, 3, 50])
def test_the_worst_comes_first_on_pages_of_any_size(mixed: EvalRun, limit: int) -> None:
    """No output, then failing by the lowest value, then undecided, then passing; each result once."""
    scorers = runs.scorers_of(mixed)
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = results.list_results(mixed, scorers, cursor=cursor, limit=limit)
        found += keys(page)
        cursor = page.next
    assert found == ["f", "b", "g", "c", "d", "e", "a", "h"]


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"show": "failed"}, {"b", "c", "g"}),
        ({"show": "error"}, {"e", "f"}),
        ({"show": "not_scored"}, {"d"}),
        ({"show": "passed"}, {"a", "h"}),
        ({"show": "failed", "scorer": "tone"}, {"c", "g"}),
        ({"show": "not_scored", "scorer": "exact"}, set()),
        ({"slice": "y", "show": "failed"}, {"g"}),
        ({"text": "rome"}, {"c"}),
        ({"scorer": "nobody"}, set()),
        ({"text": "\x00"}, set()),
    ],
)
def test_a_filter_finds_what_it_says(mixed: EvalRun, where: dict[str, str], expected: set[str]) -> None:
    """By how it came out, together or for one scorer, by slice, by text."""
    page = results.list_results(mixed, runs.scorers_of(mixed), where=ResultFilter(**where))
    assert set(keys(page)) == expected


def test_newly_failing_are_those_that_passed_before(mixed: EvalRun, alice_client: Client) -> None:
    """`b` and `c` passed in run 1; `g` was not in it."""
    response = alice_client.get(f"{HERE}/2/results?against=1")
    assert [line.key for line in response.context["page"].items] == ["b", "c"]


def test_what_was_not_scored_is_told_loudly(mixed: EvalRun, alice_client: Client) -> None:
    """The run's page counts each reason; a result without a score is no failure of the answer."""
    page = alice_client.get(f"{HERE}/2").content.decode()
    assert "Not everything was scored" in page
    assert "rate_limited" in page
    assert "tone gave no score" in page
    assert "exact failed" in page
    assert "2 of 5 examples" in page


def test_a_run_without_any_score_says_so(golden: EvalSet, project: Project, alice_client: Client) -> None:
    """It is not shown as 0 %."""
    run_making.make_run(project, golden, [making.make_scorer(project)], {"fr": Came(("not_scored",))})
    page = alice_client.get(f"{HERE}/1").content.decode()
    assert "Nothing was scored" in page
    assert "says nothing about quality" in page


@pytest.mark.parametrize(
    "address",
    [
        "eval-runs",
        "eval-runs?set=golden&state=finished",
        "eval-runs/2",
        "eval-runs/2/results",
        "eval-runs/2/results?show=error&scorer=tone&slice=x&q=a&against=1",
        "eval-runs/2/results?cursor=nonsense&show=nonsense&against=99",
        "eval-runs/2/results/b?against=1",
        "eval-runs/-/new",
        "eval-runs/-/new?again=2",
        "prompts/support/answer/-/evals",
        "eval-sets/golden/results/b",
    ],
)
def test_a_page_asks_few_queries_whatever_its_address(mixed: EvalRun, alice_client: Client, address: str) -> None:
    """At most twelve, the session and the membership among them; the first visit of a session notes the project."""
    alice_client.get(HERE)
    with CaptureQueriesContext(connection) as asked:
        response = alice_client.get(f"/p/support-desk/{address}")
    assert response.status_code == 200
    assert len(asked) <= MOST_QUERIES, "\n".join(one["sql"][:110] for one in asked)


def test_a_result_shows_question_expectation_difference_and_reasons(mixed: EvalRun, alice_client: Client) -> None:
    """And whatever a model wrote is text."""
    page = alice_client.get(f"{HERE}/2/results/g").content.decode()
    assert "Capital g?" in page
    assert "&lt;b&gt;Oslo&lt;/b&gt;" in page or "&lt;b&gt;" in page
    assert "<b>Oslo" not in page
    assert "tone says 0.1" in page
    assert "<del>Paris</del>" in page
    assert alice_client.get(f"{HERE}/2/results/nobody").status_code == 404


def test_a_strangers_run_is_not_there(mixed: EvalRun, charlie_client: Client, bob_client: Client) -> None:
    """Other tenants get a 404; a viewer reads and starts nothing."""
    for address in (HERE, f"{HERE}/2", f"{HERE}/2/results", f"{HERE}/2/results/a"):
        assert charlie_client.get(address).status_code == 404
        assert bob_client.get(address).status_code == 200
    assert bob_client.get(f"{HERE}/-/new").status_code == 403
    assert bob_client.post(f"{HERE}/2/retry").status_code == 403


def test_the_progress_moves_and_ends_with_the_whole_page(mixed: EvalRun, alice_client: Client, now: datetime) -> None:
    """The polled part counts what is done; when the run is over it asks for the page."""
    EvalRun.objects.filter(pk=mixed.pk).update(
        state="running", summary=None, done=3, failed=1, total=8, budget_usd=Decimal(1), started_at=now
    )
    part = alice_client.get(f"{HERE}/2", headers={"HX-Request": "true"})
    assert "3</b> of 8 done" in part.content.decode()
    assert "HX-Refresh" not in part.headers
    EvalRun.objects.filter(pk=mixed.pk).update(state="finished")
    assert alice_client.get(f"{HERE}/2", headers={"HX-Request": "true"}).headers["HX-Refresh"] == "true"


def test_cancel_and_retry_from_the_page(mixed: EvalRun, alice_client: Client) -> None:
    """Retry queues the example without an output and the one whose scorer failed; cancel then asks for the end."""
    alice_client.post(f"{HERE}/2/retry")
    mixed.refresh_from_db()
    assert (mixed.state, mixed.summary) == ("queued", None)
    open_keys = Result.objects.filter(run=mixed, state__in=["waiting", "answered"]).values_list(
        "example__key", flat=True
    )
    assert set(open_keys) == {"e", "f"}
    alice_client.post(f"{HERE}/2/cancel")
    mixed.refresh_from_db()
    assert mixed.cancel_asked_at is not None


# --- A new run ----------------------------------------------------------------------------------------------


@pytest.fixture
def asked(project: Project, golden: EvalSet, now: datetime) -> dict[str, str]:
    """What a form that can be started has in it: a published prompt, the set, a scorer."""
    making.make_scorer(project)
    publish_answer(project, now)
    return {
        "prompt": "support/answer",
        "eval_set": "golden",
        "scorers": "exact",
        "repetitions": "1",
        "concurrency": "5",
        "use_cache": "on",
    }


def test_a_new_run_is_estimated_then_started(asked: dict[str, str], project: Project, alice_client: Client) -> None:
    """The estimate costs nothing and starts nothing; starting freezes it."""
    page = alice_client.post(f"{HERE}/-/new", {**asked, "do": "estimate"})
    assert page.context["estimate"].calls == 3
    assert not EvalRun.objects.exists()
    response = alice_client.post(f"{HERE}/-/new", {**asked, "threshold:exact": "0.9", "do": "start"})
    assert response.headers["Location"] == f"{HERE}/1"
    run = EvalRun.objects.get()
    assert (run.total, run.model, run.source, run.prompt_version) == (3, "test/echo", "page", "1.0.0")
    assert run.scorers.get().threshold == 0.9
    assert run.estimate["calls"] == 3


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prompt": "nobody"}, "There is no prompt nobody"),
        ({"threshold:exact": "2"}, "A threshold is a number from 0 to 1."),
        ({"scorers": ""}, "Choose at least one scorer."),
        ({"parameters": "[1]"}, "Parameters are a JSON object"),
        ({"slices": "nowhere"}, "No approved example of golden is in the slices nowhere"),
    ],
)
def test_a_run_that_cannot_be_is_refused_beside_its_field(
    asked: dict[str, str], alice_client: Client, change: dict[str, str], sentence: str
) -> None:
    """What was typed stays."""
    response = alice_client.post(f"{HERE}/-/new", {**asked, **change, "do": "start"})
    assert response.status_code == 422
    assert sentence in response.content.decode()
    assert 'value="support/answer"' in response.content.decode() or change.get("prompt")
    assert not EvalRun.objects.exists()
