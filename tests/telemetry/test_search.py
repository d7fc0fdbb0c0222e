"""Text search: what words are, that a search is exact at once and after indexing, and that tenants stay apart."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from apps.projects.models import Project
from apps.telemetry.filters import ScoreWish, TraceFilter, read_prompt, read_score
from apps.telemetry.search_words import LONGEST_WORD, MOST_CHARS, read_search, texts_in, words_of
from apps.telemetry.selectors import candidates
from apps.telemetry.selectors.search import length_marks, question, vector
from apps.telemetry.selectors.traces import recent_spans, recent_traces
from apps.telemetry.services import searching
from tests.dashboards.conftest import NOW, Send, a_call
from tests.dashboards.conftest import send as send
from tests.telemetry.conftest import rows

# --- Words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("Where is order 70-4412?", "70-4412"),
        ("Where is order 70-4412.Thanks", "70-4412"),
        ("see https://shop.example/orders/70-4412?x=1", "70-4412"),
        ("order=70-4412&more", "ORDER 70-4412"),
        ("write to ana.lopez@example.com, please", "ana.lopez@example.com"),
        ("<ana.lopez@example.com>", "lopez@example.com"),
        ("call lookup_order(order=7)", "lookup_order"),
        ("call lookup_order(order=7)", "lookup"),
        ("the refund is late", "refu*"),
        ("the refund is late", "late refund"),
        ("don’t panic", "don't"),
        ("Straße", "STRASSE"),
        ("ｆｕｌｌ width", "full"),
        ("我的订单在哪里", "订单"),
        ("我的订单在哪里", "单"),
        ("荷物はどこですか", "荷物"),
        ("สวัสดีครับ", "สวัสดี"),
        ("tab\\tnew\\nline", "new line"),
        ("caf\\u00e9 au lait", "café"),
        ("Где моя посылка?", "посылка"),
        ("a" * 100, "a" * 80),
    ],
)
def test_finds_what_is_typed(text: str, search: str) -> None:
    wanted = read_search(search)
    assert wanted is not None
    assert wanted.is_in(words_of([text]))


@pytest.mark.parametrize(
    ("text", "search"),
    [
        ("order 70-4412", "70-4413"),
        ("order 4412 of 70", "70-4412"),
        ("the refund is late", "refunds"),
        ("the refund is late", "refund early"),
        ("我的订单在哪里", "单订"),
        ("ana@example.com", "bob@example.com"),
    ],
)
def test_finds_nothing_else(text: str, search: str) -> None:
    wanted = read_search(search)
    assert wanted is not None
    assert not wanted.is_in(words_of([text]))


@pytest.mark.parametrize("text", ["", "  ", "?!", "*", "--", None])
def test_knows_a_search_without_a_word(text: str | None) -> None:
    assert read_search(text) is None


def test_reads_texts_within_json_and_not_its_frame() -> None:
    messages = '[{"role": "user", "content": [{"type": "text", "text": "lamp"}], "order_id": 7044}]'
    assert words_of(texts_in(messages, is_json=True)) == {"lamp", "7044", "order", "id", "order_id"}
    assert "lamp" in words_of(texts_in(messages[:70], is_json=True)), "JSON that was cut is read as text"


def test_shares_the_room_among_long_texts() -> None:
    words = words_of(["short", "x " * MOST_CHARS + "never", "y " * MOST_CHARS])
    assert words == {"short", "x", "y"}
    assert all(len(word) <= LONGEST_WORD for word in words_of(["z" * 5_000]))


@pytest.mark.parametrize("text", ["it's", "back\\slash", "'; DROP TABLE x; --", "a:*", "a & b | !c", "\u2028"])
@pytest.mark.django_db
def test_writes_words_that_postgresql_reads_as_they_are(text: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT tsvector_to_array(%s::tsvector)", [vector(255, [text], [f"t={text}"])])
        assert set(cursor.fetchone()[0]) == {f"ff {text}", f"ff:t={text}"}
        cursor.execute("SELECT %s::tsvector @@ %s::tsquery", [vector(255, [], [text]), question(255, None, [[text]])])
        assert cursor.fetchone()[0]


def test_names_every_size_in_a_range_of_lengths() -> None:
    assert length_marks(1000, 5000) == ["l10", "l11", "l12", "l13"]
    assert length_marks(None, 0) == ["l0"]
    assert length_marks(2**39, None) == ["l40"]


@pytest.mark.parametrize(
    ("text", "wish"),
    [
        ("thumbs<1", ScoreWish("thumbs", "<", 1.0, "1")),
        ("rating >= 4.5", ScoreWish("rating", ">=", 4.5, "4.5")),
        ("outcome=success", ScoreWish("outcome", "=", None, "success")),
        ("outcome!=success", ScoreWish("outcome", "!=", None, "success")),
        ("outcome<success", None),
        ("thumbs", None),
        ("<1", None),
        ("a=inf", None),
        (None, None),
    ],
)
def test_reads_a_wish_for_a_score(text: str | None, wish: ScoreWish | None) -> None:
    assert read_score(text) == wish


def test_reads_a_prompt_with_or_without_its_version() -> None:
    assert read_prompt("answer@1.2.0") == ("answer", "1.2.0")
    assert read_prompt("answer") == ("answer", None)
    assert read_prompt("@1") == ("@1", None)
    assert read_prompt(None) == (None, None)


# --- The index ----------------------------------------------------------------------------------------------

DAY = timedelta(days=1)
Digest = Callable[[], int]


@pytest.fixture
def digest(db: None) -> Digest:
    """Takes what waits out of the queue and into the index, as the task does."""

    def take() -> int:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT project_id, key.* FROM telemetry_fresh"
                " CROSS JOIN unnest(trace_ids, span_ids, started_ats) AS key (t, s, at)"
            )
            keys = [(project, bytes(trace), bytes(span), at) for project, trace, span, at in cursor.fetchall()]
            written = searching.index(cursor, keys)
            cursor.execute("DELETE FROM telemetry_fresh")
        return written

    return take


def found(project: Project, **wanted: Any) -> set[str]:
    """The names of the spans that match, of the last ten days."""
    if "text" in wanted:
        wanted["text"] = read_search(wanted["text"])
    page = recent_spans(project.pk, start=NOW - 10 * DAY, end=NOW + DAY, matching=TraceFilter(**wanted), limit=200)
    return {span.name for span in page.items}


TEXTS: dict[str, dict[str, Any]] = {
    "input": {"input": [{"role": "user", "content": "Is quokkaone here?"}]},
    "output": {"output": "No, quokkatwo is."},
    "error": {"status": "error", "error_message": "quokkathree broke"},
    "quokkafour": {},
    "tool": {"tool_name": "quokkafive", "kind": "tool"},
    "documents": {"documents": [{"id": "kb/1", "content": "about quokkasix"}]},
}


@pytest.mark.parametrize("is_indexed", [False, True])
def test_looks_into_every_text_of_a_span(send: Send, project: Project, digest: Digest, is_indexed: bool) -> None:
    send(project, *(a_call(**{"name": name, **fields}) for name, fields in TEXTS.items()))
    if is_indexed:
        assert digest() == len(TEXTS)
    numbers = ("one", "two", "three", "four", "five", "six")
    assert [found(project, text=f"quokka{number}") for number in numbers] == [{name} for name in TEXTS]
    assert found(project, text="quokka*") == set(TEXTS)
    assert found(project, text="quokka") == set()
    assert found(project, text="quokkaone quokkatwo") == set(), "all words occur in one span"


def test_finds_content_that_came_as_log_records(send: Send, project: Project, digest: Digest) -> None:
    call = a_call(name="logged")
    send(project, call)
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO telemetry_logpart (project_id, trace_id, span_id, at, digest, event_name, body)"
            " VALUES (%s, %s, %s, %s, '', 'gen_ai.user.message', %s)",
            [
                project.pk,
                bytes.fromhex(call["trace_id"]),
                bytes.fromhex(call["span_id"]),
                datetime.fromisoformat(call["started_at"]),
                '{"content": "a quokka in the log"}',
            ],
        )
    assert found(project, text="quokka log") == {"logged"}
    digest()
    assert found(project, text="quokka log") == {"logged"}


@pytest.fixture
def emptied(transactional_db: None) -> Iterator[None]:
    """Real commits; the tables that Django does not know are emptied at the end."""
    yield
    with connection.cursor() as cursor:
        cursor.execute(
            "TRUNCATE telemetry_span, telemetry_payload, telemetry_skewed, telemetry_search, telemetry_fresh"
        )


@pytest.mark.usefixtures("emptied")
def test_writes_a_row_once_and_again_when_the_span_changes(send: Send, project: Project, digest: Digest) -> None:
    call = a_call(name="first", output=None)
    send(project, call)
    assert digest() == 1
    keys = [(project.pk, bytes.fromhex(call["trace_id"]), bytes.fromhex(call["span_id"]), NOW - timedelta(hours=1))]
    with transaction.atomic(), connection.cursor() as cursor:
        assert searching.index(cursor, keys) == 0
        assert searching.index(cursor, [(project.pk, bytes(16), bytes(8), NOW)]) == 0, "a span that is gone"
    send(project, {**call, "output": "now with a wombat"})
    assert found(project, text="wombat") == {"first"}
    assert digest() == 1
    assert found(project, text="wombat") == {"first"}
    assert rows("SELECT count(*) FROM telemetry_search") == [(1,)]


def test_keeps_tenants_apart(send: Send, project: Project, other_project: Project, digest: Digest) -> None:
    send(project, a_call(name="ours", input="the secret marmot", tool_name="dig"))
    send(other_project, a_call(name="theirs", input="the secret marmot", tool_name="dig"))
    for _ in range(2):
        assert found(project, text="secret marmot") == {"ours"}
        assert found(other_project, text="marmot*") == {"theirs"}
        digest()
    words = rows("SELECT project_id, tsvector_to_array(words) FROM telemetry_search")
    assert all(word.startswith((f"{number:x} ", f"{number:x}:")) for number, own in words for word in own)


FIELDS: dict[str, dict[str, Any]] = {
    "environment": {"environment": "staging"},
    "feature": {"feature": "rare-feature"},
    "model": {"model": "rare-model"},
    "provider": {"provider": "rare-provider"},
    "status": {"status": "error"},
    "user_id": {"user_id": "u/'1'"},
    "session_id": {"session_id": "s \\ 1"},
    "kind": {"kind": "reranker"},
    "tool_name": {"tool_name": "rare_tool"},
    "agent_name": {"agent_name": "rare agent"},
    "error_type": {"error_type": "RareError"},
    "tag": {"tag": "rare, tag"},
    "prompt": {"prompt_name": "rare", "prompt_version": "1.0.0"},
    "long": {"least_latency_ms": 90_000},
    "short": {"most_latency_ms": 3},
    "dear": {"least_cost_usd": Decimal("5")},
    "text": {"text": "wallaby"},
}


def a_span_with(name: str) -> dict[str, Any]:
    """A call that has what the filter of that name asks for."""
    wanted = dict(FIELDS[name])
    sent: dict[str, Any] = {
        "model": lambda value: {"request_model": value},
        "tag": lambda value: {"tags": ["other", value]},
        "least_latency_ms": lambda value: {"latency_ms": value},
        "most_latency_ms": lambda value: {"latency_ms": value},
        "least_cost_usd": lambda value: {"cost_usd": str(value)},
        "text": lambda value: {"input": f"a {value}"},
    }
    fields: dict[str, Any] = {}
    for field, value in wanted.items():
        fields |= sent[field](value) if field in sent else {field: value}
    return a_call(**{"name": name, "started_at": (NOW - 3 * DAY).isoformat(), **fields})


@pytest.mark.parametrize("is_indexed", [False, True])
def test_finds_rare_values_behind_many_others(
    send: Send, project: Project, digest: Digest, is_indexed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Fewer are compared one by one, so that the index is asked; each way must find the same.
    monkeypatch.setattr(candidates, "PROBE", 5)
    monkeypatch.setattr(candidates, "FIRST_LOOK", 2)
    send(project, *(a_call(name=f"other {place}", input="a plain question", latency_ms=500) for place in range(30)))
    send(project, *map(a_span_with, FIELDS))
    if is_indexed:
        digest()
    for name, wanted in FIELDS.items():
        assert found(project, **wanted) == {name}, name
    assert found(project, text="plain question", kind="llm", least_latency_ms=400) == {
        f"other {place}" for place in range(30)
    }
    assert found(project, text="wallaby", feature="rare-feature") == set()


def test_turns_pages_of_a_search_without_losing_or_repeating(
    send: Send, project: Project, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PROBE", 7)
    monkeypatch.setattr(candidates, "FIRST_LOOK", 3)
    start = NOW - 2 * DAY
    calls = [
        a_call(
            # Several of one moment, and every second one without the word.
            started_at=(start + timedelta(minutes=10 * (place // 3))).isoformat(),
            input="an echidna" if place % 2 else "nothing",
            name=f"call {place}",
        )
        for place in range(60)
    ]
    send(project, *calls[:40])
    digest()
    send(project, *calls[40:])
    matching = TraceFilter(text=read_search("echidna"))
    seen: list[str] = []
    cursor = None
    for _ in range(20):
        page = recent_traces(project.pk, start=NOW - 10 * DAY, end=NOW, matching=matching, limit=4, cursor=cursor)
        seen += [item.name for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert sorted(seen) == sorted(f"call {place}" for place in range(60) if place % 2)
    moments = [int(name.split()[1]) // 3 for name in seen]
    assert moments == sorted(moments, reverse=True)


def test_asks_the_index_about_rare_words(send: Send, project: Project, digest: Digest) -> None:
    send(project, *(a_call(name=f"call {place}", input="common words") for place in range(900)))
    send(project, a_call(name="needle", input="one numbat", started_at=(NOW - 5 * DAY).isoformat()))
    digest()
    look = candidates.prepare(
        project.pk, "trace_id", TraceFilter(text=read_search("numbat")), start=NOW - 10 * DAY, end=NOW
    )
    hauls = list(candidates.hauls(look))
    assert sum(len(haul.found) for haul in hauls) == 1
    assert hauls[-1].since == NOW - 10 * DAY
    assert len(hauls) <= 5, "few questions, however rare the word"


def test_scores_and_flags_narrow(send: Send, project: Project) -> None:
    now = datetime.now(UTC)
    liked, disliked, flagged = (a_call(name=name) for name in ("liked", "disliked", "flagged"))
    send(project, liked, disliked, flagged)
    with connection.cursor() as cursor:
        for call, value in ((liked, 1.0), (disliked, 0.0)):
            cursor.execute(
                "INSERT INTO telemetry_score (project_id, score_id, trace_id, session_id, name, data_type, value,"
                " label, comment, user_id, source, at, received_at, digest, environment, feature, provider, model,"
                " prompt_version, call_source) VALUES (%s, gen_random_uuid(), %s, '', 'thumbs', 'numeric', %s,"
                " '', '', '', 'api', %s, %s, %s, '', '', '', '', '', '')",
                [project.pk, bytes.fromhex(call["trace_id"]), value, now, now, secrets.token_bytes(8)],
            )
    assert found(project, score=read_score("thumbs<1")) == {"disliked"}
    assert found(project, score=read_score("thumbs=1")) == {"liked"}
    assert found(project, score=read_score("other=1")) == set()
    assert found(project, is_flagged=True) == set()


def test_finds_rare_values_where_the_index_is_gone_with_the_texts(
    send: Send, project: Project, digest: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates, "PROBE", 2)
    send(project, *(a_call(name="other", started_at=(NOW - DAY).isoformat()) for _ in range(5)))
    send(project, a_call(name="old", tool_name="dig", started_at=(NOW - 5 * DAY).isoformat()))
    digest()
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_search WHERE started_at < %s", [NOW - 3 * DAY])
        cursor.execute(
            "INSERT INTO telemetry_retentionsettings (project_id, payload_days, changed_at) VALUES (%s, 3, now())",
            [project.pk],
        )
    assert found(project, tool_name="dig") == {"old"}
