"""The intake after a restart of the database: no thread may keep a connection that is dead."""

from __future__ import annotations

from typing import Any

from django.db import connection

from apps.projects import authentication
from tests.telemetry.conftest import Intake, make_span, rows

END_ALL_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def post_with_an_unknown_key(intake: Intake) -> int:
    """The key is looked up in the database, in one of the intake's threads."""
    authentication.forget_remembered_keys()
    return intake.post([make_span()]).status_code


def warm_up(intake: Intake) -> None:
    """The first store of a busy machine may take longer than a client is kept waiting for; it is then asked again."""
    first = intake.post([make_span()])
    for _ in range(5):
        if first.status_code != 503:
            break
        assert first.headers["Retry-After"] == "2"
        first = intake.post([make_span()])
    assert first.status_code == 200


def test_stores_again_as_soon_as_the_database_is_back(intake: Intake) -> None:
    warm_up(intake)
    assert [post_with_an_unknown_key(intake) for _ in range(8)] == [200] * 8
    rows(END_ALL_OTHERS)
    assert [post_with_an_unknown_key(intake) for _ in range(8)] == [200] * 8


def test_asks_to_come_again_while_the_database_is_away(intake: Intake, monkeypatch: Any) -> None:
    rows(END_ALL_OTHERS)
    monkeypatch.setitem(connection.settings_dict, "PORT", "1")
    authentication.forget_remembered_keys()
    answer = intake.post([make_span()])
    monkeypatch.undo()
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "2"
    assert post_with_an_unknown_key(intake) == 200
