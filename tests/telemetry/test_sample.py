"""Sample projects: made by one click, filled in parts, gone on with after a crash, and removed without a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Membership, Project, Role
from apps.telemetry import wire
from apps.telemetry.models import SampleLoad
from apps.telemetry.sample import calls, trace
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.selectors.sample import sample_state
from apps.telemetry.services import forgetting, sample, store
from apps.telemetry.types import Batch
from tests.conftest import page_client
from tests.factories import NOW, actor_of, make_member, make_project
from tests.telemetry.conftest import make_span, rows

END = datetime(2026, 3, 4, 12, 30, tzinfo=UTC)
TABLES = [*forgetting.PARTITIONED, *forgetting.PLAIN]


# --- The data


@pytest.fixture(scope="module")
def spans() -> list[calls.Span]:
    whole = calls.Sample(END)
    return whole.spans(0, len(whole))


def test_shows_every_real_call_once(spans: list[calls.Span]) -> None:
    shown = Counter(
        (span["service"], span["input_tokens"], span["output_tokens"]) for span in spans if span["kind"] == "llm"
    )
    real = Counter((call.service, call.input_tokens, call.output_tokens) for call in trace.real_calls())
    assert shown == real


def test_holds_the_trace_that_its_origin_describes() -> None:
    real = trace.real_calls()
    sums = {
        service: (
            sum(call.service == service for call in real),
            sum(call.input_tokens for call in real if call.service == service),
            sum(call.output_tokens for call in real if call.service == service),
        )
        for service in ("conv", "code")
    }
    assert sums == {"conv": (19_366, 22_361_870, 4_088_665), "code": (8_819, 18_059_974, 245_896)}


def test_keeps_the_moment_within_the_hour(spans: list[calls.Span]) -> None:
    begins = END - timedelta(days=30)
    moments = Counter(
        (datetime.fromisoformat(span["started_at"]) - begins) % timedelta(hours=1)
        for span in spans
        if span["kind"] == "llm"
    )
    assert moments == Counter(timedelta(milliseconds=call.offset_ms) for call in trace.real_calls())


def test_lies_within_the_thirty_days_before(spans: list[calls.Span]) -> None:
    starts = [datetime.fromisoformat(span["started_at"]) for span in spans]
    assert min(starts) > END - timedelta(days=30, minutes=1)
    assert max(starts) < END
    assert {(END - start).days for start in starts} >= set(range(30))
    assert sum(start > END - timedelta(hours=1) for start in starts) > 20


def test_is_the_same_each_time(spans: list[calls.Span]) -> None:
    again = calls.Sample(END)
    assert [span for first in range(0, len(again), 7_000) for span in again.spans(first, first + 7_000)] == spans
    assert len({span["span_id"] for span in spans}) == len(spans)


def test_has_what_the_pages_show(spans: list[calls.Span]) -> None:
    made = [span for span in spans if span["kind"] == "llm"]
    assert len({span["feature"] for span in made}) == 5
    assert {span["kind"] for span in spans} >= {"llm", "chain", "retriever", "reranker", "agent", "tool"}
    assert 0.003 < sum(span["status"] == "error" for span in made) / len(made) < 0.03
    assert 200 < sum("output" in span for span in made) < 1_000
    replies = [span for span in made if span["feature"] == "support-chat"]
    changed_at = min(span["started_at"] for span in replies if span["prompt_version"] == "2.0.0")
    assert changed_at > max(span["started_at"] for span in replies if span["prompt_version"] == "1.4.0")


def test_shows_searches_and_errands_that_went_wrong(spans: list[calls.Span]) -> None:
    searches = [span for span in spans if span["kind"] == "retriever"]
    assert 0.01 < sum(not span["documents"] for span in searches) / len(searches) < 0.06
    assert {span["attributes"]["index_name"] for span in searches} == {"help-pages", "product-pages"}
    assert all(span["attributes"]["index_updated_at"] <= span["started_at"] for span in searches)
    runs = [span for span in spans if span["kind"] == "tool"]
    assert {span.get("error_type") for span in runs} == {None, "upstream_error", "timeout"}
    repeated = Counter((span["trace_id"], span["tool_name"], str(span["input"])) for span in runs)
    assert 10 < sum(count >= 3 for count in repeated.values()) < 100


def test_is_taken_by_the_intake_to_the_last_span(spans: list[calls.Span]) -> None:
    body = wire.read_body(sample._encode({"spans": spans}), max_items=len(spans))
    read, _, rejected = wire.read_spans(body.spans, project_id=1, received_at=END, keep_since=END - timedelta(days=400))
    assert rejected == []
    assert len(read) == len(spans)
    assert not {flag for span in read for flag in span.flags}


# --- The project


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A sample of every twentieth call, so that loading takes no time; the number of its calls."""
    some = trace.real_calls()[::20]
    monkeypatch.setattr(calls, "real_calls", lambda: some)
    monkeypatch.setattr(sample, "real_calls", lambda: some)
    monkeypatch.setattr(sample, "CALLS_PER_PART", 500)
    sample._sample.cache_clear()
    yield len(some)
    sample._sample.cache_clear()


@pytest.fixture
def owner(span_tables: None, small: int, alice: User) -> User:
    return alice


def made_for(owner: User, *, now: datetime = NOW) -> Project:
    """A sample project that nobody has begun to fill."""
    return sample.create_sample(owner=owner, actor=actor_of(owner), now=now)


@pytest.fixture
def waiting(owner: User, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A sample project whose wake-up call got lost."""
    with monkeypatch.context() as lost:
        lost.setattr("apps.core.jobs.enqueue", lambda *args, **kwargs: None)
        return made_for(owner)


def fill(project: Project) -> None:
    while sample.load_next(project.pk, now=NOW):
        pass


def count(table: str, project_id: int) -> int:
    return int(rows(f"SELECT count(*) FROM {table} WHERE project_id = %s", project_id)[0][0])


@pytest.mark.django_db(transaction=True)
class TestSampleProject:
    def test_is_made_and_filled_by_one_click(self, owner: User, small: int) -> None:
        browser = page_client(owner)
        answer = browser.post("/sample")
        made = Project.objects.get(is_sample=True)
        assert answer.headers["Location"] == f"/p/{made.slug}/"
        assert Membership.objects.get(project=made).role == Role.ADMIN
        state = sample_state(made.pk)
        assert state is not None
        assert state.is_ready
        assert count("telemetry_dirtyhour", made.pk) == 0
        figures = read_figures(made.pk, start=state.ends_at - timedelta(days=31), end=state.ends_at)
        assert figures.total.calls == small
        assert figures.total.input_tokens == sum(call.input_tokens for call in calls.real_calls())
        page = browser.get(f"/p/{made.slug}/").content.decode()
        assert "Sample data" in page
        assert "CC BY 4.0" in page

    def test_is_the_same_for_a_second_click(self, owner: User) -> None:
        browser = page_client(owner)
        first, second = browser.post("/sample"), browser.post("/sample")
        assert first.headers["Location"] == second.headers["Location"]
        assert Project.objects.filter(is_sample=True).count() == 1

    def test_goes_on_after_a_crash_without_storing_anything_twice(self, waiting: Project, small: int) -> None:
        assert sample.load_next(waiting.pk, now=NOW)
        stored = count("telemetry_span", waiting.pk)
        # The part was stored, and the process died before it could say so.
        SampleLoad.objects.update(calls_loaded=0, leased_until=NOW + timedelta(minutes=1))
        assert not sample.load_next(waiting.pk, now=NOW), "somebody else seems to be at it"
        assert sample.load_next(waiting.pk, now=NOW + timedelta(minutes=1))
        assert count("telemetry_span", waiting.pk) == stored
        fill(waiting)
        assert rows("SELECT count(*) FROM telemetry_span WHERE counted") == [(small,)]

    def test_is_resumed_by_schedule_when_its_wake_up_call_was_lost(self, waiting: Project) -> None:
        sample.resume_samples(now=NOW)
        assert SampleLoad.objects.get(pk=waiting.pk).finished_at is not None

    def test_tells_how_far_it_is(self, waiting: Project, owner: User, small: int) -> None:
        sample.load_next(waiting.pk, now=NOW)
        browser = page_client(owner)
        fragment = browser.get(f"/p/{waiting.slug}/sample", headers={"HX-Request": "true"}).content.decode()
        assert "500 of 1,410 calls" in fragment
        assert 'hx-trigger="every 2s"' in fragment
        fill(waiting)
        fragment = browser.get(f"/p/{waiting.slug}/sample", headers={"HX-Request": "true"}).content.decode()
        assert "hx-trigger" not in fragment
        page = browser.get(f"/p/{waiting.slug}/sample").content.decode()
        assert "ISCA 2024" in page

    def test_is_removed_with_everything_in_it_and_nothing_else(
        self, waiting: Project, owner: User, project: Project
    ) -> None:
        fill(waiting)
        keep(project)
        before = {table: count(table, project.pk) for table in TABLES}
        assert count("telemetry_costhour", waiting.pk)
        browser = page_client(owner)
        answer = browser.post(f"/p/{waiting.slug}/sample/remove")
        assert answer.headers["Location"] == "/"
        assert not Project.objects.filter(pk=waiting.pk).exists()
        assert not SampleLoad.objects.exists()
        assert {table: count(table, waiting.pk) for table in TABLES} == dict.fromkeys(TABLES, 0)
        assert {table: count(table, project.pk) for table in TABLES} == before
        actions = AuditEntry.objects.filter(project_id=waiting.pk).values_list("action", flat=True)
        assert {"telemetry.sample_created", "telemetry.sample_removed", "projects.deleted"} <= set(actions)

    def test_is_removed_by_an_admin_alone(self, waiting: Project) -> None:
        viewer = make_member(waiting).user
        browser = page_client(viewer)
        assert browser.post(f"/p/{waiting.slug}/sample/remove").status_code == 403
        assert "Remove sample data" not in browser.get(f"/p/{waiting.slug}/").content.decode()
        assert Project.objects.filter(pk=waiting.pk).exists()

    def test_leaves_nothing_when_it_is_removed_while_it_fills(
        self, waiting: Project, owner: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def store_late(batches: list[Batch]) -> object:
            sample.remove_sample(project=Project.objects.get(pk=waiting.pk), actor=actor_of(owner), now=NOW)
            return store(batches)

        monkeypatch.setattr(sample, "store", store_late)
        assert sample.load_next(waiting.pk, now=NOW)
        assert not sample.load_next(waiting.pk, now=NOW)
        assert {table: count(table, waiting.pk) for table in TABLES} == dict.fromkeys(TABLES, 0)


def keep(project: Project) -> None:
    """Store one call of a project that nobody means to delete."""
    raw = wire.read_body(sample._encode({"spans": [make_span(started_at=NOW.isoformat())]}), max_items=1)
    spans, positions, _ = wire.read_spans(raw.spans, project_id=project.pk, received_at=NOW, keep_since=NOW)
    store([Batch(project.pk, None, "test", NOW, 1, spans, positions, [])])


@pytest.mark.django_db(transaction=True)
def test_deletes_by_schedule_what_a_deleted_project_left_behind(span_tables: None, project: Project) -> None:
    gone = make_project("Gone")
    keep(project)
    keep(gone)
    number = gone.pk
    gone.delete()
    assert forgetting.forget_orphans() == [number]
    assert count("telemetry_span", number) == count("telemetry_intakebatch", number) == 0
    assert count("telemetry_span", project.pk) == 1


@pytest.mark.django_db
def test_never_forgets_a_project_that_exists(project: Project) -> None:
    with pytest.raises(forgetting.ProjectStillExists):
        forgetting.forget_project(project.pk)


@pytest.mark.django_db
def test_does_not_remove_a_project_that_is_no_sample(project: Project, alice_client: Client) -> None:
    alice_client.post(f"/p/{project.slug}/sample/remove")
    assert Project.objects.filter(pk=project.pk).exists()
    assert alice_client.get(f"/p/{project.slug}/sample").status_code == 404


@pytest.mark.django_db(transaction=True)
def test_is_made_and_removed_by_command(owner: User, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sample", owner=owner.email)
    assert "is ready" in capsys.readouterr().out
    assert SampleLoad.objects.get().finished_at is not None
    call_command("sample", owner=owner.email, remove=True)
    assert not Project.objects.filter(is_sample=True).exists()
    with pytest.raises(CommandError, match="no sample project"):
        call_command("sample", owner=owner.email, remove=True)
    with pytest.raises(CommandError, match="nobody@example.com"):
        call_command("sample", owner="nobody@example.com")


def test_empties_every_table_that_names_a_project(db: None) -> None:
    # The first two go with their project by themselves; receipts of erasures are kept for good.
    others = ["telemetry_sampleload", "telemetry_savedview", "telemetry_erasure"]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT table_name FROM information_schema.columns WHERE column_name = 'project_id' AND table_name LIKE"
            " 'telemetry_%%' AND table_name !~ '_[0-9]{8}$' AND table_name <> ALL (%s)",
            [others],
        )
        assert {name for (name,) in cursor.fetchall()} == set(TABLES)
