"""Facts in the database: the same in whatever order spans arrive, and summed up exactly, from summaries or not."""

from __future__ import annotations

import io
import json
import math
import random
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise, permutations
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from apps.projects.models import Project, Scope
from apps.telemetry import wire
from apps.telemetry.fact_coverage import cover
from apps.telemetry.figures import Interval
from apps.telemetry.models import FactMark, FactSummary
from apps.telemetry.selectors import agents, fact_cells, retrievals
from apps.telemetry.selectors.fact_cells import FactScope, FactTable, read_facts
from apps.telemetry.services import digesting, fact_summaries, store, trace_facts
from apps.telemetry.services.partitions import forget_known
from apps.telemetry.tallies import SPREADS, Subject, Tally
from apps.telemetry.types import Batch
from tests import factories
from tests.telemetry.conftest import rows

NOW = factories.NOW
TABLES = ("telemetry_retrieval", "telemetry_agenttask", "telemetry_toolrun")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
Keep = Callable[..., None]


@pytest.fixture
def keep(db: None) -> Iterator[Keep]:
    """Stores spans as the intake does, and looks through them as the worker does."""
    forget_known()

    def keeper(project: Project, *spans: dict[str, Any], now: datetime = NOW) -> None:
        body = wire.read_body(json.dumps({"spans": spans}).encode(), max_items=5_000)
        records, positions, rejected = wire.read_spans(
            body.spans, project_id=project.pk, received_at=now, keep_since=now - timedelta(days=400)
        )
        assert not rejected
        store([Batch(project.pk, None, "tests", now, len(spans), records, positions, rejected)])
        digesting.digest(now=now)

    yield keeper
    forget_known()


def a_span(number: int, kind: str, parent: int | None = None, **changes: Any) -> dict[str, Any]:
    """A span of the trace, of an hour ago."""
    return {
        "trace_id": TRACE,
        "span_id": f"{number:016x}",
        "parent_span_id": None if parent is None else f"{parent:016x}",
        "kind": kind,
        "name": f"{kind} {number}",
        "started_at": (NOW - timedelta(hours=1, seconds=-number)).isoformat(),
        "latency_ms": 100 * number,
        "feature": "answers",
    } | changes


SPANS = (
    a_span(1, "agent", agent_name="desk", latency_ms=9000),
    a_span(2, "retriever", 1, documents=[{"id": "help/a", "score": 0.9}, {"id": "help/b", "score": 0.5}]),
    a_span(3, "tool", 1, tool_name="look_up", input={"order": 1}),
    a_span(4, "llm", 1, output="As help/a says.", input_tokens=10, cost_usd="0.01", request_model="atlas"),
)


def facts(project: Project) -> dict[str, list[tuple[Any, ...]]]:
    """All facts of the project."""
    return {
        table: sorted(rows(f"SELECT * FROM {table} WHERE project_id = %s", project.pk), key=repr) for table in TABLES
    }


# --- Writing ------------------------------------------------------------------------------------------------


def test_writes_what_a_trace_tells(keep: Keep, project: Project) -> None:
    keep(project, *SPANS)
    assert rows(
        "SELECT name, chunks, top_score, utilisation, utilisation_method, model, feature FROM telemetry_retrieval"
    ) == [("retriever 2", 2, 0.9, 0.5, "citation", "atlas", "answers")]
    assert rows("SELECT name, outcome, steps, tools, loop, cost_usd, latency_ms FROM telemetry_agenttask") == [
        ("desk", "success", 2, ["look_up"], "", Decimal("0.01"), 9000)
    ]
    assert rows("SELECT name, agent_name, outcome, latency_ms FROM telemetry_toolrun") == [
        ("look_up", "desk", "success", 300)
    ]


@pytest.mark.usefixtures("span_tables")
def test_ends_in_the_same_facts_however_the_spans_arrive(keep: Keep, project: Project) -> None:
    keep(project, *SPANS)
    expected = facts(project)
    assert all(expected.values())
    for order in list(permutations(SPANS))[1::5]:
        other = factories.make_project()
        for span in (*order, order[0]):
            keep(other, span)
        found = facts(other)
        assert {table: [row[1:] for row in each] for table, each in found.items()} == {
            table: [row[1:] for row in each] for table, each in expected.items()
        }


def test_writes_nothing_when_nothing_changed(keep: Keep, project: Project) -> None:
    keep(project, *SPANS)
    marks = FactMark.objects.count()
    with connection.cursor() as cursor:
        assert trace_facts.refresh(cursor, project.pk, [bytes.fromhex(TRACE)] * 2, now=NOW) == 0
        assert trace_facts.refresh(cursor, project.pk, [], now=NOW) == 0
    assert FactMark.objects.count() == marks > 0


@pytest.mark.usefixtures("span_tables")
def test_learns_from_what_comes_late(keep: Keep, project: Project) -> None:
    keep(project, *SPANS[:3])
    assert rows("SELECT utilisation_method, chunks FROM telemetry_retrieval") == [("", 2)]
    keep(project, SPANS[3])
    assert rows("SELECT utilisation_method FROM telemetry_retrieval") == [("citation",)]
    keep(project, a_span(1, "agent", status="error", error_type="DeadlineExceeded"))
    assert rows("SELECT outcome, error_type FROM telemetry_agenttask") == [("timeout", "DeadlineExceeded")]


def test_is_rebuilt_from_the_spans_to_the_same_facts(keep: Keep, project: Project) -> None:
    late = {"trace_id": "c" * 32, "started_at": (NOW - timedelta(days=9)).isoformat()}
    keep(project, *SPANS, *(span | late for span in SPANS), a_span(1, "llm", trace_id="d" * 32))
    expected = facts(project)
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(TABLES)}, telemetry_factmark")
    out = io.StringIO()
    call_command(
        "facts", "rebuild", "--project", project.slug, "--from", "2026-02-20", "--to", "2026-03-04", stdout=out
    )
    assert out.getvalue() == f"{project.slug}: 2 traces from 2026-02-20 to 2026-03-04\n"
    assert facts(project) == expected
    assert FactSummary.objects.filter(hours=24).exists()
    with pytest.raises(CommandError):
        call_command("facts", "rebuild", "--project", "nobody")


def test_forgets_a_trace_whose_spans_are_gone(keep: Keep, project: Project) -> None:
    keep(project, *SPANS)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_span WHERE project_id = %s", [project.pk])
        assert trace_facts.refresh(cursor, project.pk, [bytes.fromhex(TRACE)], now=NOW) == 3
    assert not any(facts(project).values())


def test_finds_traces_of_long_ago(keep: Keep, project: Project) -> None:
    at = (NOW - timedelta(days=40)).isoformat()
    keep(project, *(span | {"started_at": at} for span in SPANS))
    assert [len(each) for each in facts(project).values()] == [1, 1, 1]


@pytest.mark.usefixtures("span_tables")
def test_lets_a_score_say_how_a_task_ended(keep: Keep, project: Project) -> None:
    from django.test import Client

    def judge(**score: Any) -> None:
        key = factories.make_key(project, Scope.INGEST)
        body = {"trace_id": TRACE, "name": "task_completion", **score}
        answer = Client().post(
            "/api/v1/scores", body, content_type="application/json", headers={"Authorization": f"Bearer {key}"}
        )
        assert answer.status_code == 200, answer.content
        digesting.digest(now=NOW)

    def outcome() -> str:
        ((found,),) = rows("SELECT outcome FROM telemetry_agenttask")
        return str(found)

    keep(project, *SPANS)
    assert outcome() == "success"
    judge(label="timeout")
    assert outcome() == "timeout"
    judge(value=0.4, span_id=f"{1:016x}")
    assert outcome() == "failure", "a score of the span stands before one of the trace"
    judge(value=0.5, span_id=f"{1:016x}")
    assert outcome() == "success"


def test_leaves_other_projects_alone(keep: Keep, project: Project, other_project: Project) -> None:
    keep(project, *SPANS)
    before = facts(project)
    keep(other_project, *SPANS[:1])
    assert facts(project) == before
    assert [len(each) for each in facts(other_project).values()] == [0, 1, 0]


def test_has_no_facts_of_plain_calls(keep: Keep, project: Project) -> None:
    keep(project, a_span(1, "chain"), a_span(2, "llm", 1))
    assert not any(facts(project).values())
    assert not FactMark.objects.exists()


@pytest.mark.usefixtures("span_tables")
def test_adds_a_trace_of_many_spans_up_again_when_one_more_arrives(keep: Keep, project: Project) -> None:
    spans = [a_span(number, "tool", 1, input=number, tool_name="t") for number in range(2, 4_001)]
    keep(project, SPANS[0], a_span(4_001, "llm", 1), *spans)
    keep(project, a_span(4_002, "tool", 1, input="x", tool_name="t"))
    assert rows("SELECT tool_runs, loop FROM telemetry_agenttask") == [(4_000, "")]


# --- Adding up ----------------------------------------------------------------------------------------------


@pytest.fixture
def spread_out(keep: Keep, project: Project) -> Project:
    """Some days of retrievals and tasks, in two features and environments, uneven and fixed."""
    chance = random.Random(7)
    spans = []
    for number in range(1, 300):
        at = NOW - timedelta(days=10 * chance.random() ** 2)
        shared = {
            "trace_id": f"{number:032x}", "feature": chance.choice(["answers", "search", ""]),
            "environment": chance.choice(["production", "staging"]), "started_at": at.isoformat(),
        }  # fmt: skip
        documents = [{"score": chance.uniform(-1, 1)} for _ in range(chance.randrange(6))]
        status = "error" if chance.random() < 0.1 else "ok"
        spans += [
            a_span(1, "agent", latency_ms=chance.randrange(1, 10**6), status=status, error_type="Timeout") | shared,
            a_span(2, "retriever", 1, documents=documents, name=chance.choice(["help", "shop"])) | shared,
            a_span(3, "tool", 1, tool_name=chance.choice(["a", "b"]), input=1, status=status) | shared,
            a_span(4, "llm", 1, output="no", cost_usd=str(chance.randrange(10**6) / 10**9), latency_ms=1) | shared,
        ]  # fmt: skip
    keep(project, *spans)
    return project


def plain(tally: Tally) -> Any:
    """A tally as values that can be compared."""
    return (
        dict(tally.numbers),
        tally.cost_usd,
        {kind: (each.count, each.p10, each.p50, each.p99) for kind, each in tally.spreads.items()},
    )


def values_of(table: FactTable) -> Any:
    return (
        plain(table.total),
        plain(table.before),
        [plain(each) for each in table.series],
        {name: plain(each) for name, each in table.by_feature.items()},
        {name: plain(each) for name, each in table.by_name.items()},
    )


SCOPES = [
    FactScope(NOW - timedelta(hours=24), NOW, Interval.HOUR),
    FactScope(NOW - timedelta(minutes=150), NOW, Interval.MINUTE),
    FactScope(NOW - timedelta(days=7, minutes=17), NOW, Interval.SIX_HOURS),
    FactScope(NOW - timedelta(days=9, hours=5, minutes=1), NOW - timedelta(hours=3), Interval.DAY),
    FactScope(NOW - timedelta(days=41), NOW, Interval.NONE),
    FactScope(NOW - timedelta(days=30), NOW, Interval.DAY, environment="staging"),
    FactScope(NOW - timedelta(days=30), NOW, Interval.DAY, feature="search"),
    FactScope(NOW - timedelta(days=7), NOW, Interval.SIX_HOURS, environment="production", feature=""),
    FactScope(NOW - timedelta(days=7), NOW, Interval.DAY, feature="nobody"),
]


def test_adds_up_the_same_from_facts_and_from_summaries(spread_out: Project) -> None:
    live = [[values_of(table) for table in read_facts(spread_out.pk, scope, *Subject)] for scope in SCOPES]
    assert live[4][0][0][0]["retrievals"] == 299
    while fact_summaries.summarise(now=NOW):
        pass
    assert FactSummary.objects.filter(hours=24).count() > 50
    summed = [[values_of(table) for table in read_facts(spread_out.pk, scope, *Subject)] for scope in SCOPES]
    assert summed == live
    # Wrong on purpose: what is read from summaries shows it, so the comparison above compared two ways.
    FactSummary.objects.update(counts=[0] * 20)
    assert values_of(read_facts(spread_out.pk, SCOPES[4], Subject.TASK)[0]) != live[4][1]


def test_shows_what_came_after_the_summaries(keep: Keep, spread_out: Project) -> None:
    while fact_summaries.summarise(now=NOW):
        pass
    scope = FactScope(NOW - timedelta(days=41), NOW, Interval.DAY)
    for days in (0.1, 3, 9):
        late = {"trace_id": f"{999_000 + int(days * 10):032x}", "started_at": (NOW - timedelta(days=days)).isoformat()}
        keep(spread_out, a_span(1, "retriever", documents=[]) | late)
    assert read_facts(spread_out.pk, scope, Subject.RETRIEVAL)[0].total["retrievals"] == 302
    while fact_summaries.summarise(now=NOW):
        pass
    assert read_facts(spread_out.pk, scope, Subject.RETRIEVAL)[0].total["retrievals"] == 302


def test_writes_days_when_they_are_over(keep: Keep, project: Project) -> None:
    keep(project, *SPANS)
    while fact_summaries.summarise(now=NOW):
        pass
    hour = NOW.replace(hour=11)
    assert set(FactSummary.objects.values_list("hours", "start")) == {(1, hour), (6, NOW.replace(hour=6))}
    assert list(FactMark.objects.values_list("hours", "start")) == [(24, NOW.replace(hour=0))]
    keep(project, a_span(9, "retriever", documents=[]))
    assert fact_summaries.summarise(now=NOW) == 2
    assert FactMark.objects.count() == 1, "one mark for the day, however often its hours change"
    while fact_summaries.summarise(now=NOW + timedelta(hours=12)):
        pass
    assert not FactMark.objects.exists()
    assert FactSummary.objects.filter(hours=24, subject="retrieval", slice="all").get().counts[0] == 2


def test_answers_percentiles_within_half_a_percent(spread_out: Project) -> None:
    table = read_facts(spread_out.pk, FactScope(NOW - timedelta(days=50), NOW), *Subject)
    held = {
        (Subject.RETRIEVAL, "top_score"): "SELECT top_score FROM telemetry_retrieval",
        (Subject.RETRIEVAL, "chunks"): "SELECT chunks FROM telemetry_retrieval",
        (Subject.TASK, "latency_ms"): "SELECT latency_ms FROM telemetry_agenttask",
        (Subject.TASK, "cost_billionths"): "SELECT cost_usd * 1000000000 FROM telemetry_agenttask",
        (Subject.TOOL, "latency_ms"): "SELECT latency_ms FROM telemetry_toolrun",
    }
    for place, subject in enumerate(Subject):
        for kind in SPREADS[subject]:
            if (subject, kind) not in held:
                continue
            exact = sorted(float(value) for (value,) in rows(held[subject, kind]) if value is not None)
            spread = table[place].total.spreads[kind]
            assert spread.count == len(exact) > 200
            for percent in (10, 50, 90, 99):
                value = exact[math.ceil(percent * len(exact) / 100) - 1]
                assert spread.quantile(percent) == pytest.approx(value, rel=0.0051, abs=2e-6), (kind, percent)
    costs = [cost for (cost,) in rows("SELECT cost_usd FROM telemetry_agenttask")]
    assert table[1].total.cost_usd == sum(costs)


@pytest.mark.parametrize("interval", list(Interval))
@pytest.mark.parametrize("shortest", [1, 6])
def test_covers_every_moment_once(interval: Interval, shortest: int) -> None:
    chance = random.Random(11)
    for _ in range(60):
        start = NOW - timedelta(minutes=chance.randrange(60 * 24 * 12))
        end = start + timedelta(minutes=chance.randrange(1, 60 * 24 * 9))
        marks = {
            (length, at)
            for length in (1, 6, 24)
            for _ in range(2)
            if (at := NOW.replace(hour=0) - timedelta(hours=length * chance.randrange(288 // length)))
        }
        coverage = cover(start, end, interval, marks, shortest=shortest)
        stretches = sorted(stretch for each in coverage.values() for stretch in each)
        assert (stretches[0].start, stretches[-1].end) == (start, end)
        assert all(one.end == other.start for one, other in pairwise(stretches))
        for hours, each in coverage.items():
            for stretch in each if hours else ():
                assert all(
                    not (stretch.start <= at < stretch.end) for length, at in marks if length == hours or length == 1
                )


# --- Worst, ages, seen --------------------------------------------------------------------------------------


def test_finds_the_worst_by_looking_at_all(spread_out: Project) -> None:
    scope = FactScope(NOW - timedelta(days=8), NOW, environment="staging")
    where = f"started_at >= '{scope.start.isoformat()}' AND environment = 'staging'"
    worst = retrievals.worst_retrievals(spread_out.pk, scope)
    slowest = rows(f"SELECT max(latency_ms) FROM telemetry_retrieval WHERE {where}")[0][0]
    assert worst["slow"][0].latency_ms == slowest
    lowest = [value for (value,) in rows(f"SELECT top_score FROM telemetry_retrieval WHERE {where} ORDER BY 1 LIMIT 5")]
    assert [each.top_score for each in worst["low_score"]] == lowest
    assert [each.chunks for each in worst["empty"]] == [0] * 5
    assert [each.started_at for each in worst["empty"]] == sorted(
        (each.started_at for each in worst["empty"]), reverse=True
    )
    failed = agents.worst_tasks(spread_out.pk, scope)["failed"]
    newest = rows(f"SELECT max(started_at) FROM telemetry_agenttask WHERE {where} AND outcome = 'timeout'")[0][0]
    assert failed[0].started_at == newest


def test_knows_the_age_of_an_index_from_its_last_retrieval(keep: Keep, project: Project) -> None:
    def told(number: int, hours_ago: int, age_s: int) -> dict[str, Any]:
        at = (NOW - timedelta(hours=hours_ago)).isoformat()
        return a_span(number, "retriever", started_at=at, attributes={"index_name": "help", "index_age_s": age_s})

    keep(project, told(1, 5, 60), told(2, 3, 7200), told(3, 4, 10), a_span(4, "retriever", name="help"))
    ages = retrievals.index_ages(project.pk, ["help", "shop"], until=NOW)
    assert {name: age.updated_at for name, age in ages.items()} == {"help": NOW - timedelta(hours=5)}
    assert retrievals.index_ages(project.pk, ["help"], until=NOW - timedelta(hours=10)) == {}


def test_says_whether_such_metrics_arrive(keep: Keep, project: Project) -> None:
    since = NOW - timedelta(days=1)
    assert not retrievals.seen(project.pk, "answers", since)
    assert not agents.seen(project.pk, "answers", since)
    keep(project, *SPANS)
    assert retrievals.seen(project.pk, "answers", since)
    assert agents.seen(project.pk, "answers", since)
    assert not retrievals.seen(project.pk, "answers", NOW)
    assert not agents.seen(project.pk, "search", since)


# --- The API ------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(project: Project) -> Callable[..., Any]:
    """Asks with a key that may read, for the time around noon."""
    from django.test import Client

    key = factories.make_key(project, Scope.READ)

    def ask(path: str, **query: str) -> Any:
        query = {"from": "2026-03-04T00:00:00Z", "to": "2026-03-04T12:00:00Z", **query}
        return Client().get(f"/api/v1/{path}", query, headers={"Authorization": f"Bearer {key}"})

    return ask


def test_answers_for_retrieval(keep: Keep, project: Project, reader: Callable[..., Any]) -> None:
    keep(project, *SPANS, a_span(7, "retriever", documents=[], trace_id="a" * 32, feature="search"))
    found = reader("retrieval").json()
    assert (found["total"]["retrievals"], found["total"]["empty"], found["total"]["empty_rate"]) == (2, 1, 0.5)
    assert found["total"]["utilisation"] == {"citation": {"retrievals": 1, "mean": 0.5}}
    assert found["total"]["mean_shift"] is None
    assert found["before"]["retrievals"] == 0
    assert found["before"]["empty_rate"] is None
    assert [each["retrievals"] for each in found["series"]] == [0] * 11 + [2]
    assert [(each["feature"], each["retrievals"]) for each in found["features"]] == [("answers", 1), ("search", 1)]
    assert found["worst"]["empty"][0]["trace_id"] == "a" * 32
    narrowed = reader("retrieval", feature="search").json()
    assert narrowed["total"]["retrievals"] == 1


def test_answers_for_agents(keep: Keep, project: Project, reader: Callable[..., Any]) -> None:
    keep(project, *SPANS)
    found = reader("agents").json()
    assert {name: found["total"][name] for name in ("tasks", "success_rate", "steps.p50", "cost_usd", "loops")} == {
        "tasks": 1, "success_rate": 1.0, "steps.p50": 2, "cost_usd": "0.01", "loops": 0,
    }  # fmt: skip
    assert [(each["tool"], each["runs"], each["failure_rate"]) for each in found["tools"]] == [("look_up", 1, 0.0)]
    assert found["worst"]["longest"][0]["trace_id"] == TRACE


@pytest.mark.usefixtures("db")
@pytest.mark.parametrize(
    "query",
    [
        {"from": "2026-03-05T00:00:00Z"},
        {"from": "2020-01-01T00:00:00Z"},
        {"interval": "minute", "from": "2026-03-01T00:00:00Z"},
        {"interval": "week"},
        {"model": "atlas"},
    ],
)
def test_refuses_what_it_cannot_answer(reader: Callable[..., Any], query: dict[str, str]) -> None:
    for path in ("retrieval", "agents"):
        answer = reader(path, **query)
        assert answer.status_code == 422, answer.content
        assert answer.json()["error"]["code"] == "invalid"


def test_needs_the_scope_read(project: Project) -> None:
    from django.test import Client

    key = factories.make_key(project, Scope.INGEST)
    for path in ("retrieval", "agents"):
        assert Client().get(f"/api/v1/{path}", headers={"Authorization": f"Bearer {key}"}).status_code == 403
        assert Client().get(f"/api/v1/{path}").status_code == 401


def test_tells_the_largest_groups_apart_when_there_are_too_many(
    keep: Keep, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fact_cells, "MOST_GROUPS", 2)
    names = ["often", "often", "seldom", "seldom", "a", "b"]
    keep(project, *(a_span(n, "retriever", documents=[], name=name) for n, name in enumerate(names, start=1)))
    table = retrievals.read_retrievals(project.pk, FactScope(NOW - timedelta(hours=24), NOW, Interval.HOUR))
    assert {name: tally["retrievals"] for name, tally in table.by_name.items()} == {"often": 2, "seldom": 2}
    assert table.total["retrievals"] == 6
