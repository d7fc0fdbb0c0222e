"""Where spans lie in the time of their trace."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from apps.telemetry.selectors.spans import SpanView
from apps.telemetry.waterfall import draw, share_of

START = datetime(2026, 3, 4, 12, tzinfo=UTC)


def a_span(start_ms: int = 0, length_ms: int | None = 100, **changes: Any) -> SpanView:
    values = {
        "client_started_at": START + timedelta(milliseconds=start_ms),
        "started_at": START + timedelta(milliseconds=start_ms),
        "ended_at": None,
        "latency_ms": length_ms,
        "ttft_ms": None,
        "kind": "llm",
        "status": "ok",
        "counted": True,
        "flags": [],
    } | changes
    depth = values.pop("depth", 0)
    return SpanView(values=values, input=None, output=None, documents=[], attributes={}, depth=depth)


def test_places_bars_by_their_share_of_the_whole() -> None:
    picture = draw([a_span(0, 1000, kind="chain"), a_span(250, 500, ttft_ms=100), a_span(900, 100, kind="tool")])
    assert picture.length_ms == 1000
    # 1,000 ms take 95.24 % of the width, so that the last word has room.
    chain, call, tool = picture.bars
    assert (chain.x, chain.width, chain.look) == (0, pytest.approx(95.238, abs=0.01), "chain")
    assert (call.x, call.wait) == (pytest.approx(23.81, abs=0.01), pytest.approx(9.524, abs=0.01))
    assert (call.after_wait, call.rest) == (pytest.approx(33.333, abs=0.01), pytest.approx(38.095, abs=0.01))
    assert (tool.start_ms, tool.look) == (900, "tool")


@pytest.mark.parametrize(
    ("length", "ticks"),
    [
        (3420, [0, 1000, 2000, 3000]),
        (212, [0, 50, 100, 150, 200]),
        (5, [0, 1, 2, 3, 4, 5]),
        (1, [0, 1]),
        (0, []),
        (90_000, [0, 20_000, 40_000, 60_000, 80_000]),
        (450_000, [0, 120_000, 240_000, 360_000]),
        (10**9, [0, 200_000_000, 400_000_000, 600_000_000, 800_000_000, 1_000_000_000]),
    ],
)
def test_marks_round_times(length: int, ticks: list[int]) -> None:
    assert [tick.ms for tick in draw([a_span(0, length)]).ticks] == ticks


def test_shows_a_failure_whatever_its_kind() -> None:
    assert draw([a_span(kind="tool", status="error")]).bars[0].look == "error"


def test_draws_spans_without_a_length() -> None:
    picture = draw([a_span(0, None), a_span(40, None)])
    assert picture.length_ms is None
    assert [bar.length_ms for bar in picture.bars] == [None, None]
    assert all(0 < bar.width < 1 for bar in picture.bars)


def test_takes_the_length_from_the_end_where_none_was_measured() -> None:
    span = a_span(100, None, ended_at=START + timedelta(milliseconds=350))
    assert draw([span]).bars[0].length_ms == 250
    backwards = a_span(100, None, ended_at=START)
    assert draw([backwards]).bars[0].length_ms == 0


def test_leaves_impossible_clocks_out_of_the_scale() -> None:
    lost = a_span(0, 50, flags=["clock"], client_started_at=datetime(1970, 1, 1, tzinfo=UTC))
    picture = draw([a_span(0, 1000), lost])
    assert picture.length_ms == 1000
    assert picture.bars[1].start_ms == 0
    # With every clock wrong by as much, their distances still hold.
    old = datetime(1970, 1, 1, tzinfo=UTC)
    spans = [
        a_span(0, 100, flags=["clock"], client_started_at=old + timedelta(milliseconds=place)) for place in (0, 300)
    ]
    assert [bar.start_ms for bar in draw(spans).bars] == [0, 300]


def test_indents_five_levels_at_most() -> None:
    assert [draw([a_span(depth=depth)]).bars[0].indent for depth in (0, 3, 5, 400)] == [0, 3, 5, 5]


def test_adds_up_the_time_of_models_once() -> None:
    # 100 to 500 and 900 to 1,000.
    assert share_of([(200, 300), (100, 300), (900, 100)], 1000) == pytest.approx(0.5)
    assert share_of([], 100) is None
    assert share_of([(0, 10)], None) is None
