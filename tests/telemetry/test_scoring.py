"""Scores without a database: what is taken, what is refused and why, and which of two reports stands."""

from __future__ import annotations

import itertools
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.telemetry import metrics, scoring
from apps.telemetry.figures import Dimension, FigureRequest, FigureTable
from apps.telemetry.reading import ScoreReading
from apps.telemetry.scoring import ScorePoint, ScoreRecord
from apps.telemetry.wire import MalformedBody, TooManyItems

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def read(*items: Any, at: datetime = NOW) -> scoring.ReadScores:
    """The scores of a body with these items."""
    found, _ = scoring.read_body(json.dumps(list(items)).encode(), max_items=100)
    return scoring.read_scores(found, project_id=1, received_at=at)


def one(**said: Any) -> ScoreRecord:
    """The one score, of a trace unless told otherwise."""
    result = read({"name": "rating", "trace_id": TRACE} | said)
    assert not result.rejected, result.rejected
    return result.records[0]


def refusal(**said: Any) -> str:
    """Why the one score is refused."""
    result = read({"name": "rating", "trace_id": TRACE, "value": 3} | said)
    assert not result.records
    assert result.rejected[0].list_name == "scores"
    return result.rejected[0].code


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"name": "thumbs", "value": 1}, (1.0, "up", "boolean")),
        ({"name": "thumbs", "value": 0}, (0.0, "down", "boolean")),
        ({"name": "thumbs", "value": -1}, (0.0, "down", "boolean")),
        ({"name": "thumbs", "value": True}, (1.0, "up", "boolean")),
        ({"name": "thumbs", "value": False}, (0.0, "down", "boolean")),
        ({"name": "thumbs", "label": "down"}, (0.0, "down", "boolean")),
        ({"name": "thumbs", "label": "UP"}, (1.0, "up", "boolean")),
        ({"name": "thumbs", "value": "up"}, (1.0, "up", "boolean")),
        ({"value": 4}, (4.0, "", "numeric")),
        ({"value": -0.25}, (-0.25, "", "numeric")),
        ({"value": 1e50}, (1e50, "", "numeric")),
        ({"value": True}, (1.0, "true", "boolean")),
        ({"value": 1.0, "label": "true"}, (1.0, "true", "boolean")),
        ({"label": "false"}, (0.0, "false", "boolean")),
        ({"label": "toxic"}, (None, "toxic", "categorical")),
        ({"value": "toxic"}, (None, "toxic", "categorical")),
        ({"value": 0.7, "label": "good"}, (0.7, "good", "numeric")),
        ({"comment": "Too long."}, (None, "", "text")),
        ({"name": "task_completion", "label": "success"}, (1.0, "success", "categorical")),
        ({"name": "task_completion", "label": "Timeout"}, (0.0, "timeout", "categorical")),
        ({"name": "task_completion", "value": 0.5}, (0.5, "", "numeric")),
        ({"name": "task_completion", "value": True}, (1.0, "success", "categorical")),
        ({"name": "task_completion", "value": 0}, (0.0, "failure", "categorical")),
        ({"name": "task_completion", "value": 0, "label": "timeout"}, (0.0, "timeout", "categorical")),
    ],
)
def test_reads_values_and_labels(said: dict[str, Any], expected: tuple[Any, ...]) -> None:
    record = one(**said)
    assert (record.value, record.label, record.data_type) == expected


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({"name": None}, "invalid_name"),
        ({"name": " "}, "invalid_name"),
        ({"name": "a\nb"}, "invalid_name"),
        ({"name": "x" * 129}, "invalid_name"),
        ({"trace_id": None}, "missing_target"),
        ({"trace_id": "", "session_id": ""}, "missing_target"),
        ({"trace_id": "abc"}, "invalid_trace_id"),
        ({"trace_id": "0" * 32}, "invalid_trace_id"),
        ({"trace_id": None, "span_id": "zz"}, "invalid_span_id"),
        ({"value": None}, "missing_value"),
        ({"value": None, "comment": "  "}, "missing_value"),
        ({"value": [1]}, "invalid_value"),
        ({"value": 1e101}, "number_out_of_range"),
        ({"name": "thumbs", "value": 0.5}, "invalid_value"),
        ({"name": "thumbs", "value": None, "label": "sideways"}, "invalid_value"),
        ({"name": "task_completion", "value": 1.5}, "invalid_value"),
        ({"name": "task_completion", "value": None, "label": "perhaps"}, "invalid_value"),
        ({"timestamp": "2026-11-23T12:00:00"}, "invalid_timestamp"),
        ({"timestamp": "yesterday"}, "invalid_timestamp"),
    ],
)
def test_refuses_with_a_reason(said: dict[str, Any], code: str) -> None:
    assert refusal(**said) == code


def test_refuses_one_item_alone_and_says_where() -> None:
    result = read({"name": "a", "value": 1, "trace_id": TRACE}, 7, {"value": 1, "trace_id": TRACE}, "x")
    assert result.positions == [0]
    assert [(item.index, item.code) for item in result.rejected] == [
        (1, "not_an_object"),
        (2, "missing_name"),
        (3, "not_an_object"),
    ]
    assert json.loads(result.rejected[1].sample) == {"value": 1, "trace_id": TRACE}


def test_takes_bodies_that_strict_json_refuses() -> None:
    body = b'[{"name": "a", "value": NaN, "label": "none", "trace_id": "%s"}, {"name": "b", "value": 1e999}]'
    items, is_one = scoring.read_body(body % TRACE.encode(), max_items=10)
    result = scoring.read_scores(items, project_id=1, received_at=NOW)
    assert not is_one
    assert (result.records[0].value, result.records[0].label) == (None, "none")
    assert result.rejected[0].code == "number_out_of_range"


@pytest.mark.parametrize(
    ("body", "count", "is_one"),
    [
        (b'{"name": "a"}', 1, True),
        (b' [{"name": "a"}, {}]', 2, False),
        (b'{"scores": [{"name": "a"}, {}, 1]}', 3, False),
        (b"[]", 0, False),
    ],
)
def test_reads_one_a_list_or_an_object_with_a_list(body: bytes, count: int, is_one: bool) -> None:
    items, found = scoring.read_body(body, max_items=3)
    assert (len(items), found) == (count, is_one)


def test_refuses_bodies_as_a_whole() -> None:
    for body in (b"", b"{", b"7", b'"x"', b"[1", b"\xff"):
        with pytest.raises(MalformedBody):
            scoring.read_body(body, max_items=3)
    with pytest.raises(TooManyItems):
        scoring.read_body(b"[1,2,3,4]", max_items=3)


def test_an_id_is_made_from_what_is_said() -> None:
    base = one(value=4)
    assert one(value=4).score_id == base.score_id
    assert one(value=4).digest == base.digest
    others = [
        one(value=5),
        one(value=4, comment="good"),
        one(value=4, user_id="u"),
        one(value=4, source="judge"),
        one(value=4, span_id=SPAN),
        one(value=4, name="other"),
        one(value=4, timestamp="2026-11-23T11:00:00Z"),
        one(value=4, trace_id=None, session_id="s"),
    ]
    assert len({base.score_id, *(other.score_id for other in others)}) == 9


def test_an_id_of_the_client_stands_whatever_is_said() -> None:
    wanted = "0b0e3f4c-6b0a-4d5e-9a3e-6a4f1d9e2c11"
    assert str(one(value=1, id=wanted).score_id) == wanted
    assert one(value=1, id="mine").score_id == one(value=2, id="mine").score_id
    assert one(value=1, id="mine").score_id != one(value=1, id="yours").score_id
    assert one(value=1, id="mine").digest != one(value=2, id="mine").digest


def test_keeps_a_time_that_can_be_right() -> None:
    assert one(value=1, timestamp="2026-11-20T10:00:00+02:00").at == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert one(value=1, timestamp="2026-11-24T10:00:00Z").at == NOW
    assert one(value=1, timestamp="1900-01-01T00:00:00Z").at == NOW
    assert one(value=1).at == NOW


def test_cleans_texts() -> None:
    record = one(value=1, comment="a\x00b" + "x" * 9_000, label="l" * 300, user_id="u" * 300, source="judge")
    assert record.comment.startswith("a\ufffdb")
    assert (len(record.comment), len(record.label), len(record.user_id)) == (8_192, 256, 256)
    assert record.source == "judge"
    assert one(value=1).source == "api"


def test_a_score_that_comes_as_event_and_as_log_is_one() -> None:
    ids = {"trace_id": bytes.fromhex(TRACE), "span_id": bytes.fromhex(SPAN), "project_id": 1, "received_at": NOW}
    event = scoring.of_reading(ScoreReading("relevance", 1.0, "true", at=NOW - timedelta(seconds=9)), **ids)
    record = scoring.of_reading(ScoreReading("relevance", 1.0, "true", at=NOW - timedelta(seconds=8)), **ids)
    assert (event.score_id, event.digest, event.data_type) == (record.score_id, record.digest, "boolean")
    assert event.source == "otel"


def test_the_rank_is_by_time_then_arrival_then_content() -> None:
    reports = [
        one(value=1, id="x", timestamp="2026-11-23T10:00:00Z"),
        one(value=2, id="x", timestamp="2026-11-23T10:00:00Z"),
        one(value=3, id="x", timestamp="2026-11-23T09:00:00Z"),
    ]
    winners = {max(order, key=lambda each: each.rank).value for order in itertools.permutations(reports)}
    assert len(winners) == 1
    assert winners <= {1.0, 2.0}


# --- Metrics ------------------------------------------------------------------------------------------------


def point(name: str, group: tuple[str, ...], count: int, valued: int, total: float) -> ScorePoint:
    """A point of a range that is not cut."""
    return ScorePoint(name, None, group, count, valued, total, None, None)


def test_metrics_of_scores_stand_beside_those_of_calls() -> None:
    request = FigureRequest(NOW - timedelta(hours=1), NOW, group_by=(Dimension.FEATURE,))
    table = FigureTable.of_pieces(request, [])
    found = [point("thumbs", ("b",), 4, 4, 3.0), point("verdict", ("a",), 2, 0, 0.0)]
    wanted = ["calls", "error_rate", "score.thumbs", "score.verdict", "score.thumbs.count"]
    assert metrics.points(table, found, wanted) == [
        {
            "at": None,
            "group": {"feature": "a"},
            "metrics": {
                "calls": 0,
                "error_rate": None,
                "score.thumbs": None,
                "score.verdict": None,
                "score.thumbs.count": 0,
            },
        },
        {
            "at": None,
            "group": {"feature": "b"},
            "metrics": {
                "calls": 0,
                "error_rate": None,
                "score.thumbs": 0.75,
                "score.verdict": None,
                "score.thumbs.count": 4,
            },
        },
    ]


def test_names_of_metrics() -> None:
    assert metrics.score_names(["calls", "score.a", "score.a.count", "score.b"]) == ["a", "b"]
    assert metrics.why_not("score.thumbs") is None
    assert metrics.why_not("calls") is None
    assert "score.<name>" in (metrics.why_not("score.") or "")
    assert metrics.why_not("nothing") is not None
