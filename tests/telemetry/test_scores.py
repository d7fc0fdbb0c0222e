"""Scores over HTTP: stored once, with what they are grouped by, read back, and only by their project."""

from __future__ import annotations

import itertools
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections
from django.test import Client

from apps.projects.models import Project
from apps.telemetry import scoring
from apps.telemetry.models import IntakeBatch, Score
from apps.telemetry.services import digesting, scores
from apps.telemetry.types import Batch
from tests.conftest import Api
from tests.telemetry.conftest import Intake, make_span

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.fixture
def key(ingest_key: str) -> Api:
    """The API with the project's ingest key."""
    return Api(key=ingest_key)


@pytest.fixture
def reader(read_key: str) -> Api:
    """The API with a key that reads."""
    return Api(key=read_key)


def post(api: Api, *items: dict[str, Any]) -> dict[str, Any]:
    """Post these scores as a list; the answer."""
    response = api.post("/api/v1/scores", list(items))
    assert response.status_code == 200, response.content
    answer: dict[str, Any] = response.json()
    return answer


def send(intake: Intake, spans: list[dict[str, Any]], *items: dict[str, Any]) -> dict[str, Any]:
    """Send spans and scores in one body; the answer."""
    response = intake.send(json.dumps({"spans": spans, "scores": items}).encode())
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def new_trace() -> str:
    """The id of a trace that nobody has sent."""
    return secrets.token_hex(16)


def only_score() -> Score:
    """The one row there is."""
    return Score.objects.get()


# --- Once, and the later one --------------------------------------------------------------------------------


def test_stores_a_score_once_however_often_it_is_sent(key: Api, project: Project) -> None:
    score = {"trace_id": new_trace(), "name": "rating", "value": 4, "comment": "nice", "user_id": "u_1"}
    first = post(key, score)
    assert (first["stored"], first["updated"], first["duplicates"], first["rejected"]) == (1, 0, 0, [])
    again = post(key, score, score)
    assert (again["stored"], again["duplicates"], again["ids"]) == (0, 2, first["ids"] * 2)
    row = only_score()
    assert (row.project_id, row.name, row.value, row.comment, row.user_id) == (project.pk, "rating", 4.0, "nice", "u_1")
    assert (row.trace_id.hex(), row.source, row.data_type) == (score["trace_id"], "api", "numeric")
    booked = IntakeBatch.objects.order_by("at")
    assert [(each.received, each.stored, each.updated, each.duplicates, each.rejected) for each in booked] == [
        (1, 1, 0, 0, 0),
        (2, 0, 0, 2, 0),
    ]


def test_the_same_id_with_another_value_replaces_it(key: Api) -> None:
    score = {"trace_id": new_trace(), "name": "thumbs", "id": "vote-1", "value": 1}
    post(key, score)
    answer = post(key, score | {"value": 0, "comment": "wrong"})
    assert (answer["stored"], answer["updated"]) == (1, 1)
    assert (only_score().value, only_score().label, only_score().comment) == (0.0, "down", "wrong")


def test_reports_of_one_score_end_in_the_same_row_in_whatever_order_they_come(project: Project) -> None:
    trace = new_trace()
    said = [
        {"name": "rating", "trace_id": trace, "id": "x", "value": value, "timestamp": f"2026-11-23T10:0{minute}:00Z"}
        for value, minute in ((1, 1), (2, 3), (3, 2), (2, 3), (4, 3))
    ]
    results = set()
    for order in itertools.permutations(said):
        Score.objects.all().delete()
        for number, each in enumerate(order):
            read = scoring.read_scores(
                scoring.read_body(json.dumps([each]).encode(), max_items=9)[0], project_id=project.pk, received_at=NOW
            )
            scores.store(batch_of(project, read.records), now=NOW + timedelta(seconds=number))
        row = only_score()
        results.add((row.value, row.at))
    assert len(results) == 1
    assert results.pop()[1] == datetime(2026, 11, 23, 10, 3, tzinfo=UTC)


def batch_of(project: Project, records: list[scoring.ScoreRecord]) -> Batch:
    """These scores as a request."""
    return Batch(
        project_id=project.pk,
        key_id=None,
        client="test",
        received_at=NOW,
        received=len(records),
        spans=[],
        positions=[],
        rejected=[],
        scores=records,
    )


def test_many_at_once_store_each_score_once(intake: Intake, project: Project) -> None:
    traces = [new_trace() for _ in range(30)]
    items = [{"trace_id": trace, "name": "thumbs", "value": 1, "id": f"vote {trace}"} for trace in traces]

    def work(number: int) -> dict[str, Any]:
        try:
            order = items[number:] + items[:number]
            return send(intake, [make_span(trace_id=traces[number])], *order)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(work, range(16)))
    assert Score.objects.count() == 30
    assert sum(answer["stored"] for answer in answers) == 16 + 30
    assert sum(answer["duplicates"] for answer in answers) == 15 * 30
    for booked in IntakeBatch.objects.all():
        assert booked.received == booked.stored + booked.updated + booked.duplicates + booked.rejected == 31


# --- With their trace ---------------------------------------------------------------------------------------


def test_takes_spans_and_scores_in_one_body(intake: Intake, reader: Api) -> None:
    span = make_span(prompt_name="answer", prompt_version="1.2.0", kind="llm")
    answer = send(intake, [span], {"trace_id": span["trace_id"], "name": "thumbs", "value": True, "user_id": "u_9"})
    assert (answer["stored"], answer["rejected"]) == (2, [])
    (score,) = reader.get(f"/api/v1/traces/{span['trace_id']}").json()["scores"]
    assert (score["name"], score["value"], score["label"], score["user_id"]) == ("thumbs", 1.0, "up", "u_9")
    expected = ("support-answers", "production", "openai", "gpt-4o", "answer@1.2.0")
    assert tuple(score[name] for name in ("feature", "environment", "provider", "model", "prompt_version")) == expected


def test_a_score_that_comes_before_its_trace_is_grouped_when_the_trace_comes(intake: Intake, key: Api) -> None:
    span = make_span()
    post(key, {"trace_id": span["trace_id"], "name": "rating", "value": 5, "environment": "staging"})
    assert (only_score().feature, only_score().environment, only_score().placed_at) == ("", "staging", None)
    send(intake, [span])
    digesting.digest(now=datetime.now(UTC))
    assert (only_score().feature, only_score().environment, only_score().model) == (
        "support-answers",
        "production",
        "gpt-4o",
    )
    assert only_score().placed_at is not None


def test_a_span_scored_without_its_trace_is_found(intake: Intake, key: Api, reader: Api) -> None:
    early, late = make_span(), make_span()
    send(intake, [early])
    post(
        key,
        {"span_id": early["span_id"], "name": "rating", "value": 2},
        {"span_id": late["span_id"], "name": "rating", "value": 3},
    )
    assert reader.get(f"/api/v1/traces/{early['trace_id']}").json()["scores"][0]["value"] == 2.0
    send(intake, [late])
    assert reader.get(f"/api/v1/traces/{late['trace_id']}").json()["scores"][0]["value"] == 3.0
    digesting.digest(now=datetime.now(UTC))
    found = {row.value: (row.trace_id.hex(), row.feature) for row in Score.objects.all()}
    assert found == {2.0: (early["trace_id"], "support-answers"), 3.0: (late["trace_id"], "support-answers")}


def test_a_scored_call_has_its_own_model_and_another_span_that_of_the_trace(intake: Intake, key: Api) -> None:
    trace, start = new_trace(), datetime.now(UTC) - timedelta(minutes=1)
    spans = [
        make_span(
            trace_id=trace, request_model=model, kind=kind, started_at=(start + timedelta(seconds=number)).isoformat()
        )
        for number, (model, kind) in enumerate((("gpt-4o-mini", "llm"), ("gpt-4o", "llm"), ("", "tool")))
    ]
    send(intake, spans)
    post(key, *({"trace_id": trace, "span_id": span["span_id"], "name": "rating", "value": 1} for span in spans))
    by_span = {row.span_id.hex(): row.model for row in Score.objects.all()}
    assert [by_span[span["span_id"]] for span in spans] == ["gpt-4o-mini", "gpt-4o", "gpt-4o"]


def test_a_session_is_scored_as_a_whole(intake: Intake, key: Api, reader: Api) -> None:
    span = make_span(session_id="s_77")
    post(key, {"session_id": "s_77", "name": "task_completion", "label": "timeout"})
    send(intake, [span])
    digesting.digest(now=datetime.now(UTC))
    (score,) = reader.get("/api/v1/scores", {"session": "s_77"}).json()["items"]
    assert (score["session_id"], score["trace_id"], score["value"], score["label"]) == ("s_77", None, 0.0, "timeout")
    assert score["feature"] == "support-answers"
    assert reader.get(f"/api/v1/traces/{span['trace_id']}").json()["scores"] == []


def test_a_score_moved_to_another_trace_takes_its_groups_from_there(intake: Intake, key: Api) -> None:
    first, second = make_span(feature="one"), make_span(feature="two")
    send(intake, [first, second])
    post(key, {"id": "m", "trace_id": first["trace_id"], "name": "a", "value": 1})
    assert only_score().feature == "one"
    post(key, {"id": "m", "trace_id": second["trace_id"], "name": "a", "value": 2})
    assert (only_score().feature, only_score().value) == ("two", 2.0)


def test_old_traces_are_found_by_the_job(intake: Intake, key: Api, project: Project) -> None:
    old = make_span(started_at=(datetime.now(UTC) - timedelta(days=9)).isoformat())
    send(intake, [old])
    Score.objects.all().delete()
    post(key, {"trace_id": old["trace_id"], "name": "b", "value": 1})
    assert only_score().feature == "support-answers"
    Score.objects.all().delete()
    several = [{"trace_id": new_trace(), "name": "a", "value": 1} for _ in range(scores.FEW)]
    post(key, *several, {"trace_id": old["trace_id"], "name": "a", "value": 1})
    placed = Score.objects.filter(placed_at__isnull=False)
    assert not placed.exists()
    assert scores.place_pending(now=datetime.now(UTC)) == 1
    assert placed.get().feature == "support-answers"


# --- OpenTelemetry ------------------------------------------------------------------------------------------


def otlp_attributes(**values: Any) -> list[dict[str, Any]]:
    """Attributes as OTLP's JSON has them."""
    kinds = {str: "stringValue", float: "doubleValue", bool: "boolValue"}
    return [{"key": key, "value": {kinds[type(value)]: value}} for key, value in values.items()]


def evaluation(**more: Any) -> list[dict[str, Any]]:
    """The attributes of an evaluation result."""
    said = {"name": "relevance", "score.value": 1.0, "score.label": "true", "explanation": "On the point."} | more
    return otlp_attributes(**{f"gen_ai.evaluation.{name}": value for name, value in said.items()})


def send_otlp(intake: Intake, path: str, body: dict[str, Any]) -> None:
    """Post a body to one of the doors of OpenTelemetry."""
    answer = intake.client.post(path, json=body, headers={"Authorization": f"Bearer {intake.key}"})
    assert answer.status_code == 200, answer.text
    assert not answer.json().get("partialSuccess", {}).get("rejectedSpans")


@pytest.mark.parametrize("is_log_first", [False, True])
def test_an_evaluation_that_comes_as_event_and_as_log_is_one_score(
    intake: Intake, reader: Api, is_log_first: bool
) -> None:
    trace, span, now = new_trace(), secrets.token_hex(8), int(datetime.now(UTC).timestamp() * 1e9)
    event = {"name": "gen_ai.evaluation.result", "timeUnixNano": str(now), "attributes": evaluation()}
    spans = [
        {
            "traceId": trace,
            "spanId": span,
            "name": "chat gpt-4o",
            "startTimeUnixNano": str(now - 10**9),
            "endTimeUnixNano": str(now),
            "attributes": otlp_attributes(**{"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}),
            "events": [event],
        }
    ]
    record = {
        "traceId": trace,
        "spanId": span,
        "timeUnixNano": str(now + 5_000_000),
        "eventName": "gen_ai.evaluation.result",
        "attributes": evaluation(),
    }
    bodies = [
        ("/v1/traces", {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "t"}, "spans": spans}]}]}),
        ("/v1/logs", {"resourceLogs": [{"scopeLogs": [{"scope": {"name": "t"}, "logRecords": [record]}]}]}),
    ]
    for path, body in reversed(bodies) if is_log_first else bodies:
        send_otlp(intake, path, body)
    (score,) = reader.get(f"/api/v1/traces/{trace}").json()["scores"]
    assert (score["name"], score["value"], score["label"], score["data_type"]) == ("relevance", 1.0, "true", "boolean")
    assert (score["comment"], score["source"], score["span_id"]) == ("On the point.", "otel", span)
    assert only_score().at == datetime.fromtimestamp(now // 1000 / 1e6, UTC)
    digesting.digest(now=datetime.now(UTC))
    assert only_score().model == "gpt-4o"


# --- Doors --------------------------------------------------------------------------------------------------


def test_one_alone_that_is_bad_is_an_error_and_is_accounted_for(key: Api) -> None:
    response = key.post("/api/v1/scores", {"name": "thumbs", "value": 0.5, "trace_id": new_trace()})
    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_value"
    assert not Score.objects.exists()
    booked = IntakeBatch.objects.get()
    assert (booked.received, booked.rejected) == (1, 1)


def test_one_alone_that_is_good_is_stored(key: Api) -> None:
    response = key.post("/api/v1/scores", {"name": "thumbs", "label": "up", "trace_id": new_trace()})
    assert (response.status_code, response.json()["stored"]) == (200, 1)
    assert response.json()["ids"] == [str(only_score().score_id)]


def test_refuses_items_one_by_one(key: Api) -> None:
    answer = post(
        key,
        {"name": "thumbs", "value": 1, "trace_id": new_trace()},
        {"name": "thumbs", "value": 7, "trace_id": new_trace()},
        {"name": "thumbs", "value": 1},
    )
    assert answer["stored"] == 1
    assert [(item["index"], item["code"]) for item in answer["rejected"]] == [
        (1, "invalid_value"),
        (2, "missing_target"),
    ]
    assert [each is None for each in answer["ids"]] == [False, True, True]


@pytest.mark.parametrize(("body", "status"), [("{", 400), ("", 400), ("[1", 400), ("7", 400)])
def test_says_what_is_wrong_with_the_body(key: Api, body: str, status: int) -> None:
    response = key.generic("POST", "/api/v1/scores", body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, "malformed")


def test_people_score_under_their_name(alice_api: Api, bob_api: Api) -> None:
    score = {"name": "thumbs", "value": 0, "trace_id": new_trace()}
    assert alice_api.post("/api/v1/scores", score).status_code == 200
    assert (only_score().source, only_score().user_id) == ("review", "alice@example.com")
    assert bob_api.post("/api/v1/scores", score).status_code == 403


def test_another_project_sees_and_changes_nothing(key: Api, other_key: str, reader: Api) -> None:
    score = {"id": "shared", "name": "thumbs", "value": 1, "trace_id": new_trace()}
    post(key, score)
    other = Api(key=other_key)
    assert other.get("/api/v1/scores", {"trace_id": score["trace_id"]}).json()["items"] == []
    post(other, score | {"value": 0})
    assert Score.objects.count() == 2
    (mine,) = reader.get("/api/v1/scores", {"trace_id": score["trace_id"]}).json()["items"]
    assert mine["value"] == 1.0


def test_lists_scores_newest_first_on_pages_that_do_not_overlap(key: Api, reader: Api) -> None:
    start = datetime.now(UTC) - timedelta(hours=2)
    items = [
        {
            "name": "rating" if number % 2 else "thumbs",
            "value": number % 2,
            "trace_id": new_trace(),
            # Pairs of the same moment.
            "timestamp": (start + timedelta(minutes=number // 2)).isoformat(),
        }
        for number in range(9)
    ]
    ids = post(key, *items)["ids"]
    seen, query = [], {"limit": "2"}
    while True:
        page = reader.get("/api/v1/scores", query).json()
        seen += [(item["at"], item["id"]) for item in page["items"]]
        if page["next"] is None:
            break
        query["cursor"] = page["next"]
    assert sorted(each for _at, each in seen) == sorted(ids)
    assert seen == sorted(seen, reverse=True)
    named = reader.get("/api/v1/scores", {"name": "rating"}).json()["items"]
    assert {item["name"] for item in named} == {"rating"}
    assert len(named) == 4
    assert reader.get("/api/v1/scores", {"cursor": "nonsense"}).json()["error"]["code"] == "invalid_cursor"
    assert reader.get("/api/v1/scores", {"nmae": "rating"}).status_code == 422


def test_means_of_scores_are_metrics(intake: Intake, reader: Api) -> None:
    good, bad = make_span(feature="one"), make_span(feature="two")
    send(
        intake,
        [good, bad],
        {"trace_id": good["trace_id"], "name": "thumbs", "value": 1},
        {"trace_id": good["trace_id"], "name": "thumbs", "value": 1, "user_id": "b"},
        {"trace_id": good["trace_id"], "name": "thumbs", "value": 0, "user_id": "c"},
        {"trace_id": bad["trace_id"], "name": "thumbs", "value": 0},
        {"trace_id": bad["trace_id"], "name": "verdict", "label": "wrong"},
    )
    (whole,) = reader.get("/api/v1/metrics", {"metric": "score.thumbs,score.thumbs.count,calls"}).json()["items"]
    assert whole["metrics"] == {"score.thumbs": 0.5, "score.thumbs.count": 4, "calls": 2}
    grouped = reader.get("/api/v1/metrics", {"metric": "score.thumbs", "group_by": "feature"}).json()["items"]
    assert [(each["group"]["feature"], each["metrics"]["score.thumbs"]) for each in grouped] == [
        ("one", pytest.approx(2 / 3)),
        ("two", 0.0),
    ]
    narrow = {"metric": "score.verdict,score.verdict.count", "feature": "two", "interval": "hour"}
    hours = reader.get("/api/v1/metrics", narrow).json()["items"]
    assert len(hours) == 25
    assert [each["metrics"]["score.verdict.count"] for each in hours][-1] == 1
    assert {each["metrics"]["score.verdict"] for each in hours} == {None}


def test_a_deleted_project_leaves_no_scores(key: Api, project: Project) -> None:
    from apps.telemetry.services import forgetting

    post(key, {"trace_id": new_trace(), "name": "thumbs", "value": 1})
    Project.objects.filter(pk=project.pk).delete()
    assert forgetting.forget_orphans() == [project.pk]
    assert not Score.objects.exists()


# --- Clients of other products ------------------------------------------------------------------------------


def basic(key: str) -> dict[str, str]:
    """The header that Langfuse's client sends, our key as the secret key."""
    import base64

    return {"Authorization": "Basic " + base64.b64encode(f"pk-any:{key}".encode()).decode()}


def as_langfuse(key: str, path: str, body: Any) -> Any:
    """Post as Langfuse's client does."""
    return Client().post(path, json.dumps(body), content_type="application/json", headers=basic(key))


def test_takes_scores_as_langfuse_sends_them(ingest_key: str) -> None:
    trace, span = new_trace(), secrets.token_hex(8)
    shared = {"traceId": trace, "environment": "staging", "timestamp": "2026-11-23T10:00:00.000Z"}
    body = [
        {"id": "s1", "name": "helpfulness", "value": 0.8, "dataType": "NUMERIC", "comment": "ok", **shared},
        {"id": "s2", "name": "verdict", "value": "good", "dataType": "CATEGORICAL", "observationId": span, **shared},
        {"id": "s3", "name": "correct", "value": 1, "dataType": "BOOLEAN", **shared},
        {"id": "s4", "name": "session", "value": 3, "sessionId": "s_1"},
    ]
    response = as_langfuse(ingest_key, "/api/public/scores", body)
    assert response.status_code == 200, response.content
    rows = {row.name: row for row in Score.objects.all()}
    assert (rows["helpfulness"].value, rows["helpfulness"].comment) == (0.8, "ok")
    assert (rows["verdict"].value, rows["verdict"].label) == (None, "good")
    assert rows["verdict"].span_id.hex() == span
    assert (rows["correct"].value, rows["correct"].label, rows["correct"].data_type) == (1.0, "true", "boolean")
    assert rows["session"].session_id == "s_1"
    assert {row.source for row in rows.values()} == {"langfuse"}
    assert rows["helpfulness"].trace_id.hex() == trace
    assert rows["helpfulness"].at == datetime(2026, 11, 23, 10, tzinfo=UTC)
    assert rows["helpfulness"].environment == "staging"
    again = as_langfuse(ingest_key, "/api/public/scores", body[0] | {"value": 0.1})
    assert (again.status_code, again.json()) == (200, {"id": "s1"})
    assert Score.objects.count() == 4


def test_takes_scores_out_of_a_langfuse_batch_and_says_so_of_the_rest(ingest_key: str) -> None:
    score = {"id": "s1", "traceId": new_trace(), "name": "helpfulness", "value": 0.8}
    body = {
        "batch": [
            {"id": "e1", "type": "score-create", "timestamp": "2026-11-23T10:00:00Z", "body": score},
            {"id": "e2", "type": "trace-create", "body": {"id": "t"}},
            {"id": "e3", "type": "score-create", "body": {"name": "helpfulness", "value": 1}},
        ]
    }
    response = as_langfuse(ingest_key, "/api/public/ingestion", body)
    assert response.status_code == 207
    answer = response.json()
    assert answer["successes"] == [{"id": "e1", "status": 201}]
    assert [(each["id"], each["status"], each["error"]) for each in answer["errors"]] == [
        ("e2", 400, "event_not_taken"),
        ("e3", 400, "missing_target"),
    ]
    assert Score.objects.get().value == 0.8


@pytest.mark.parametrize("start", ["", "/api"])
def test_takes_scores_as_opik_sends_them(ingest_key: str, start: str) -> None:
    trace = "0192f0c1-7c3a-7b1e-9d51-4f3a2b1c0d9e"
    body = {"scores": [{"id": trace, "name": "hallucination", "value": 0.25, "reason": "one", "source": "sdk"}]}
    client = Client(headers={"Authorization": ingest_key})
    for value in (0.25, 0.75):
        body["scores"][0]["value"] = value
        response = client.put(
            f"{start}/v1/private/traces/feedback-scores", json.dumps(body), content_type="application/json"
        )
        assert response.status_code == 204, response.content
    row = only_score()
    assert (row.trace_id.hex(), row.value, row.comment, row.source) == (trace.replace("-", ""), 0.75, "one", "opik")
    refused = client.put(
        f"{start}/v1/private/spans/feedback-scores", '{"scores": [{"id": "x"}]}', content_type="application/json"
    )
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid_value")


@pytest.mark.parametrize("path", ["/api/public/scores", "/api/public/ingestion"])
def test_foreign_doors_are_closed_without_a_key_that_may(path: str, read_key: str) -> None:
    assert Client().post(path, "[]", content_type="application/json").status_code == 401
    assert as_langfuse(read_key, path, []).status_code == 403
    assert not Score.objects.exists()


# --- The page of a trace ------------------------------------------------------------------------------------


def test_a_person_judges_a_trace_on_its_page(intake: Intake, project: Project, alice_client: Client) -> None:
    span = make_span()
    send(intake, [span])
    page = f"/p/{project.slug}/traces/{span['trace_id']}"
    shown = alice_client.get(page).content.decode()
    assert f'action="{page}/scores"' in shown
    answer = alice_client.post(f"{page}/scores", {"thumb": "down", "comment": "Wrong <b>date</b>"})
    assert (answer.status_code, answer["Location"]) == (302, f"{page}#scores")
    row = only_score()
    assert (row.name, row.value, row.source, row.user_id) == ("thumbs", 0.0, "review", "alice@example.com")
    assert (row.feature, row.comment) == ("support-answers", "Wrong <b>date</b>")
    shown = alice_client.get(page).content.decode()
    assert "Wrong &lt;b&gt;date&lt;/b&gt;" in shown
    assert "alice@example.com" in shown
    alice_client.post(f"{page}/scores", {"thumb": "up"})
    assert only_score().value == 1.0
    alice_client.post(f"{page}/scores", {"name": "tone", "judgement": "4.5", "target": "span", "span": span["span_id"]})
    tone = Score.objects.get(name="tone")
    assert (tone.value, tone.span_id.hex()) == (4.5, span["span_id"])


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"name": "", "judgement": "4"}, "Name the score"),
        ({"name": "tone", "judgement": ""}, "Give a number or a word"),
        ({"name": "task_completion", "judgement": "7"}, "0 to 1"),
        ({"name": "tone", "judgement": "nan"}, "finite"),
    ],
)
def test_says_what_is_wrong_with_a_judgement_and_keeps_what_was_typed(
    intake: Intake, project: Project, alice_client: Client, body: dict[str, str], sentence: str
) -> None:
    span = make_span()
    send(intake, [span])
    answer = alice_client.post(f"/p/{project.slug}/traces/{span['trace_id']}/scores", body | {"comment": "typed"})
    assert answer.status_code == 422
    assert sentence in answer.content.decode()
    assert 'value="typed"' in answer.content.decode()
    assert not Score.objects.exists()


def test_viewers_see_scores_and_give_none(intake: Intake, project: Project, bob_client: Client) -> None:
    span = make_span()
    send(intake, [span], {"name": "thumbs", "value": 1, "trace_id": span["trace_id"]})
    page = f"/p/{project.slug}/traces/{span['trace_id']}"
    shown = bob_client.get(page).content.decode()
    assert "thumbs" in shown
    assert f"{page}/scores" not in shown
    assert bob_client.post(f"{page}/scores", {"thumb": "down"}).status_code == 403
    assert bob_client.get(f"/p/{project.slug}/traces/{new_trace()}/scores").status_code == 404
