"""Scores: from what a client says to a record that can be stored, and which of two reports of a score stands. Pure.

A score is of a span, a trace or a session, and has a value, a label or a comment. Numbers are kept as sent. Two names
have a meaning of their own: `thumbs` is 1 or 0 (up or down), `task_completion` a share of the task from 0 to 1, or
success, failure or timeout. A score without an id of the client gets one from what it says, so that sending it again
stores nothing twice.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from apps.telemetry import wire
from apps.telemetry.reading import ScoreReading
from apps.telemetry.texts import clean_text, encode, short_text
from apps.telemetry.types import Rejection
from apps.telemetry.wire import MAX_AHEAD, MAX_SAMPLE_CHARS, Mended, Refused, parse_id

NUMERIC, BOOLEAN, CATEGORICAL, TEXT = "numeric", "boolean", "categorical", "text"
DATA_TYPES = (NUMERIC, BOOLEAN, CATEGORICAL, TEXT)

THUMBS = "thumbs"
UP, DOWN = "up", "down"
THUMB_WORDS = {
    UP: 1.0, DOWN: 0.0, "thumbs_up": 1.0, "thumbs_down": 0.0, "true": 1.0, "false": 0.0, "1": 1.0, "0": 0.0,
    "positive": 1.0, "negative": 0.0, "like": 1.0, "dislike": 0.0, "\U0001f44d": 1.0, "\U0001f44e": 0.0,
}  # fmt: skip
TASK_COMPLETION = "task_completion"
OUTCOMES = {"success": 1.0, "failure": 0.0, "timeout": 0.0}

EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LARGEST = 1e100
MAX_NAME_CHARS = 128
MAX_COMMENT_CHARS = 8_192
TEXT_LIMITS = {"label": 256, "comment": MAX_COMMENT_CHARS, "user_id": 256, "source": 64, "environment": 64}


class ScoreRecord(msgspec.Struct, gc=False):
    """One score, cleaned. Empty text means that nothing was said; a value not said is None.

    `at` is when it was given, or when it was received where that was not said or cannot be right. `digest` is of all
    that the client said: two reports with the same digest are one. `environment` is the client's word, which gives way
    to that of the trace.
    """

    project_id: int
    score_id: UUID
    trace_id: bytes | None
    span_id: bytes | None
    session_id: str
    name: str
    data_type: str
    value: float | None
    label: str
    comment: str
    user_id: str
    source: str
    at: datetime
    received_at: datetime
    digest: bytes
    environment: str

    @property
    def key(self) -> tuple[int, UUID]:
        """What makes two reports speak of the same score."""
        return self.project_id, self.score_id

    @property
    def rank(self) -> tuple[datetime, datetime, bytes]:
        """Of two reports of one score, the one with the greater rank stands, in whatever order they arrive."""
        return self.at, self.received_at, self.digest


SCORE_COLUMNS = ScoreRecord.__struct_fields__
"""The columns of a score, named as the fields of ScoreRecord; the other dimensions are looked up afterwards."""


class Said(msgspec.Struct):
    """A score as some client says it, under our names. None is what was not said.

    `identity` is what makes it itself when `score_id` is not given, beside what it says; usually the time, if told.
    """

    name: str
    value: float | str | bool | None = None
    label: str | None = None
    comment: str | None = None
    trace_id: bytes | None = None
    span_id: bytes | None = None
    session_id: str | None = None
    user_id: str | None = None
    source: str | None = None
    environment: str | None = None
    score_id: str | None = None
    at: datetime | None = None
    identity: str = ""


class NativeScore(msgspec.Struct):
    """The shape of one score of `POST /api/v1/scores` and of `scores` in `POST /api/v1/telemetry`."""

    name: str
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    value: float | bool | str | None = None
    label: str | None = None
    comment: str | None = None
    user_id: str | None = None
    source: str | None = None
    environment: str | None = None
    id: str | None = None
    timestamp: datetime | None = None


_native = msgspec.json.Decoder(NativeScore)


class ReadScores(NamedTuple):
    """The records, the position of each in the request, and what was refused."""

    records: list[ScoreRecord]
    positions: list[int]
    rejected: list[Rejection]


def read_scores(
    items: list[msgspec.Raw] | list[Mended], *, project_id: int, received_at: datetime, source: str = "api"
) -> ReadScores:
    """The scores of a native body; `source` is that of those that name none. One item never spoils another."""
    read = ReadScores([], [], [])
    several: Sequence[msgspec.Raw | Mended] = items
    for index, item in enumerate(several):
        raw = item.raw if isinstance(item, Mended) else bytes(memoryview(item))
        try:
            if isinstance(item, Mended) and item.refusal:
                raise Refused(*item.refusal)
            said = _said(_decoded(raw))
            read.records.append(record_of(said, project_id=project_id, received_at=received_at, source=source))
            read.positions.append(index)
        except Refused as reason:
            read.rejected.append(rejection(index, reason, raw))
    return read


def rejection(index: int, reason: Refused, raw: bytes) -> Rejection:
    """A score that was not stored, and why."""
    return Rejection(
        index=index,
        list_name="scores",
        code=reason.code,
        message=reason.message,
        sample=clean_text(raw[:MAX_SAMPLE_CHARS].decode("utf-8", "replace"))[0],
    )


def _decoded(raw: bytes) -> NativeScore:
    try:
        return _native.decode(raw)
    except RecursionError as error:
        raise Refused("too_deep", "A score holds no such nesting.") from error
    except msgspec.ValidationError as error:
        raise _refusal(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused("not_json", f"The item cannot be read: {error}.") from error


def _refusal(reason: str) -> Refused:
    """msgspec's sentence as a stable code: `missing_<field>`, `invalid_<field>` or `not_an_object`."""
    missing = re.search(r"missing required field `(\w+)`", reason)
    if missing:
        return Refused(f"missing_{missing[1]}", f"The field {missing[1]} is required.")
    field = re.search(r"at `\$\.(\w+)", reason)
    if field:
        return Refused(f"invalid_{field[1]}", f"{reason.split(' - at')[0]} in {field[1]}.")
    return Refused("not_an_object", "A score is a JSON object.")


def _said(score: NativeScore) -> Said:
    return Said(
        name=score.name,
        value=score.value,
        label=score.label,
        comment=score.comment,
        trace_id=parse_id(score.trace_id, 16, "trace_id") if score.trace_id else None,
        span_id=parse_id(score.span_id, 8, "span_id") if score.span_id else None,
        session_id=score.session_id,
        user_id=score.user_id,
        source=score.source,
        environment=score.environment,
        score_id=score.id,
        at=_aware(score.timestamp),
    )


def _aware(moment: datetime | None) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise Refused("invalid_timestamp", "timestamp needs a time zone, such as the Z of 2026-11-23T10:00:00Z.")
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise Refused("invalid_timestamp", "timestamp is outside the calendar.") from error


def record_of(said: Said, *, project_id: int, received_at: datetime, source: str) -> ScoreRecord:
    """The score, cleaned. Raises Refused with the reason when it cannot be stored."""
    name = _name(said.name)
    trace_id, span_id = _id(said.trace_id, 16, "trace_id"), _id(said.span_id, 8, "span_id")
    session_id = "" if trace_id or span_id else short_text(said.session_id, 256, set())
    if not (trace_id or span_id or session_id):
        raise Refused("missing_target", "Say what is scored: trace_id, span_id or session_id.")
    value, label, data_type = _judgement(name, said)
    given = {text: short_text(getattr(said, text), limit, set()) for text, limit in TEXT_LIMITS.items()}
    texts = {**given, "label": label, "source": given["source"] or source}
    content = [
        *(identifier.hex() if identifier else "" for identifier in (trace_id, span_id)),
        session_id, name, value, label, texts["comment"], texts["user_id"], texts["source"],
    ]  # fmt: skip
    told = said.at.isoformat() if said.at else ""
    return ScoreRecord(
        project_id=project_id,
        score_id=_score_id(said.score_id, [*content, said.identity or told]),
        trace_id=trace_id,
        span_id=span_id,
        session_id=session_id,
        name=name,
        data_type=data_type,
        value=value,
        at=_moment(said.at, received_at),
        received_at=received_at,
        digest=hashlib.blake2b(
            encode([*content, texts["environment"], said.identity or told]), digest_size=16
        ).digest(),
        **texts,
    )


def _name(text: str) -> str:
    name = clean_text(text)[0].strip()
    if not name or len(name) > MAX_NAME_CHARS or not name.isprintable():
        raise Refused("invalid_name", f"name is a word or a few, at most {MAX_NAME_CHARS} characters.")
    return name


def _id(value: bytes | None, size: int, field: str) -> bytes | None:
    if value is not None and (len(value) != size or not any(value)):
        raise Refused(f"invalid_{field}", f"{field} is {size * 2} hexadecimal digits, not all of them zero.")
    return value


def _moment(said: datetime | None, received_at: datetime) -> datetime:
    return said if said is not None and EARLIEST <= said <= received_at + MAX_AHEAD else received_at


def _score_id(said: str | None, content: list[Any]) -> UUID:
    """The client's id when it is a UUID, else one made from its id, or from what the score says."""
    text = clean_text(said)[0].strip() if said else ""
    if text:
        try:
            return UUID(text)
        except ValueError:
            content = ["id", text]
    return UUID(bytes=hashlib.blake2b(encode(content), digest_size=16, person=b"score").digest(), version=5)


class Judgement(NamedTuple):
    """Value, label and data type."""

    value: float | None
    label: str
    data_type: str


def _judgement(name: str, said: Said) -> Judgement:
    """What the score says, in numbers as far as there are any."""
    value, label = said.value, short_text(said.label, TEXT_LIMITS["label"], set()).strip()
    if isinstance(value, str):
        value, label = None, label or short_text(value, TEXT_LIMITS["label"], set()).strip()
    if isinstance(value, float | int) and not isinstance(value, bool) and not math.isfinite(value):
        raise Refused("invalid_value", "value is a finite number.")
    if isinstance(value, float | int) and abs(value) > LARGEST:
        raise Refused("number_out_of_range", "value is too large to be added up.")
    if name == THUMBS:
        return _thumb(value, label)
    if name == TASK_COMPLETION:
        return _completion(value, label)
    if isinstance(value, bool):
        return Judgement(float(value), label or str(value).lower(), BOOLEAN)
    if value is not None:
        is_boolean = label.lower() in {"true", "false"} and value in (0, 1)
        return Judgement(float(value), label, BOOLEAN if is_boolean else NUMERIC)
    if label.lower() in {"true", "false"}:
        return Judgement(float(label.lower() == "true"), label.lower(), BOOLEAN)
    if label:
        return Judgement(None, label, CATEGORICAL)
    if said.comment and said.comment.strip():
        return Judgement(None, "", TEXT)
    raise Refused("missing_value", "Say what the score is: value, label or comment.")


def _thumb(value: float | bool | None, label: str) -> Judgement:
    if value is None:
        value = THUMB_WORDS.get(label.lower())
    # Some clients count a thumb down as -1.
    number = 0.0 if value == -1 else value
    if number not in (0, 1):
        raise Refused("invalid_value", "thumbs is 1 or 0, true or false, or the label up or down.")
    return Judgement(float(number), UP if number else DOWN, BOOLEAN)


def _completion(value: float | bool | None, label: str) -> Judgement:
    word = label.lower()
    if value is None:
        if word not in OUTCOMES:
            raise Refused("invalid_value", "task_completion is 0 to 1, or the label success, failure or timeout.")
        return Judgement(OUTCOMES[word], word, CATEGORICAL)
    if not 0 <= value <= 1:
        raise Refused("invalid_value", "task_completion is the share of the task that was done, 0 to 1.")
    if not word and value in (0, 1):
        word = "success" if value else "failure"
    return Judgement(float(value), word if word in OUTCOMES else label, CATEGORICAL if word in OUTCOMES else NUMERIC)


# --- Scores that come with spans ----------------------------------------------------------------------------


def of_reading(
    reading: ScoreReading,
    *,
    trace_id: bytes | None,
    span_id: bytes | None,
    project_id: int,
    received_at: datetime,
    source: str = "otel",
) -> ScoreRecord:
    """The score that came with a span or a log record. Raises Refused with the reason when it cannot be stored.

    Each comes twice, as an event and as a log record, with times of their own: what names it is what it says of what,
    and not when or by which way it came.
    """
    said = Said(
        name=reading.name,
        value=reading.value,
        label=reading.label,
        comment=reading.comment,
        trace_id=trace_id,
        span_id=span_id,
        score_id=reading.score_id,
        at=reading.at,
        identity="otlp",
    )
    return record_of(said, project_id=project_id, received_at=received_at, source=source)


# --- Bodies -------------------------------------------------------------------------------------------------


def read_body(body: bytes, *, max_items: int) -> tuple[list[msgspec.Raw] | list[Mended], bool]:
    """The scores of a body, each still unread, and whether it is one alone.

    The body is a score, a list of them, or an object with such a list as `scores`. Raises MalformedBody and
    TooManyItems, as `wire.read_body` does.
    """
    if body.lstrip()[:1] == b"[":
        return wire.read_body(b'{"scores":' + body + b"}", max_items=max_items).scores, False
    enveloped = wire.read_body(body, max_items=max_items).scores
    if enveloped:
        return enveloped, False
    return wire.read_body(b'{"scores":[' + body + b"]}", max_items=max_items).scores, True


# --- Figures ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScorePoint:
    """The scores of one name in one interval and group; `at` is None when the range is not cut.

    `count` counts all of them, `valued` those with a number, of which are the sum and the bounds.
    """

    name: str
    at: datetime | None
    group: tuple[str, ...]
    count: int
    valued: int
    total: float
    lowest: float | None
    highest: float | None

    @property
    def mean(self) -> float | None:
        """The mean of the numbers, which of zeros and ones is the share of ones; None without any."""
        return self.total / self.valued if self.valued else None
