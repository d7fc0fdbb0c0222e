"""From what dialects read to a batch that can be stored, with every item accounted for. Pure but for its log.

Received is what can be stored or refused: spans, the scores that come with them, log records that say something of a
span. Log records of other kinds are acknowledged and not counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from apps.telemetry import dialects, scoring, wire
from apps.telemetry.dialects import LogReading
from apps.telemetry.otlp import OtlpLog, OtlpSpan
from apps.telemetry.reading import Reading, ScoreReading
from apps.telemetry.texts import clean_text, encode, sorted_json
from apps.telemetry.types import Batch, LogPart, Rejection
from apps.telemetry.wire import MAX_AHEAD, MAX_SAMPLE_CHARS, Refused

log = logging.getLogger(__name__)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Item = TypeVar("Item")
Said = TypeVar("Said")


class Collector:
    """Fills one batch. `batch.received` is right at any moment."""

    def __init__(self, batch: Batch, *, keep_since: datetime) -> None:
        self.batch = batch
        self.keep_since = keep_since

    def spans(self, spans: Iterable[OtlpSpan], rejected: list[Rejection]) -> None:
        """Take the spans of an OTLP request; `rejected` are those that could not be decoded."""
        self.batch.rejected += rejected
        self.batch.received += len(rejected)
        missing = {rejection.index for rejection in rejected}
        index = -1
        for span in spans:
            index += 1
            while index in missing:
                index += 1
            self._take(index, dialects.read, span)

    def readings(self, readings: Iterable[Reading | Refused]) -> None:
        """Take spans that a client described in a form of its own; in place of one, why it cannot be read."""
        for index, reading in enumerate(readings):
            if isinstance(reading, Refused):
                self.reject(index, reading.code, reading.message)
            else:
                self._take(index, _itself, reading)

    def reject(self, index: int, code: str, message: str, sample: str = "", list_name: str = "spans") -> None:
        """Account for an item that is not stored."""
        cleaned = clean_text(sample[:MAX_SAMPLE_CHARS])[0]
        self.batch.rejected.append(Rejection(index, code, message, list_name, cleaned))
        self.batch.received += 1

    def _take(self, index: int, read: Callable[[Item], Reading], item: Item) -> None:
        try:
            reading = _read(read, item)
            record = wire.record_of(
                reading,
                project_id=self.batch.project_id,
                received_at=self.batch.received_at,
                keep_since=self.keep_since,
            )
        except Refused as reason:
            self.reject(index, reason.code, reason.message, sample_of(item))
            return
        self.batch.spans.append(record)
        self.batch.positions.append(index)
        self.batch.received += 1
        for score in reading.scores:
            self._score(index, score, record.trace_id, record.span_id)

    def logs(self, records: Iterable[OtlpLog]) -> None:
        """Take what log records say of spans: scores and content."""
        for index, record in enumerate(records):
            try:
                said = _read(dialects.read_log, record)
            except Refused as reason:
                self.reject(index, reason.code, reason.message, sample_of(record), "logs")
                continue
            if isinstance(said, ScoreReading):
                said.at = said.at or moment_of(record.time_ns)
                self._score(index, said, record.trace_id, record.span_id)
            elif said is not None:
                self.batch.logs.append(self._part(said))
                self.batch.received += 1

    def _part(self, said: LogReading) -> LogPart:
        at = moment_of(said.time_ns)
        received_at = self.batch.received_at
        flags: set[str] = set()
        return LogPart(
            project_id=self.batch.project_id,
            trace_id=said.trace_id,
            span_id=said.span_id,
            at=at if at is not None and self.keep_since <= at <= received_at + MAX_AHEAD else received_at,
            digest=said.digest,
            event_name=said.event_name,
            body=None if said.body is None else sorted_json(said.body, flags),
            attributes=sorted_json(said.attributes, flags) if said.attributes else None,
        )

    def _score(self, index: int, score: ScoreReading, trace_id: bytes | None, span_id: bytes | None) -> None:
        try:
            record = scoring.of_reading(
                score,
                trace_id=trace_id,
                span_id=span_id,
                project_id=self.batch.project_id,
                received_at=self.batch.received_at,
            )
        except Refused as reason:
            self.reject(index, reason.code, reason.message, sample_of(score), "scores")
            return
        self.batch.scores.append(record)
        self.batch.received += 1


def moment_of(time_ns: int) -> datetime | None:
    """The moment, to the microsecond; None for 0, which is how OTLP writes that there is none."""
    return EPOCH + timedelta(microseconds=time_ns // 1000) if time_ns else None


def sample_of(item: object) -> str:
    """The beginning of an item, to show what was refused."""
    try:
        return encode(item)[: MAX_SAMPLE_CHARS * 4].decode("utf-8", "replace")
    except (TypeError, ValueError, RecursionError):
        return repr(item)


def _itself(reading: Reading) -> Reading:
    return reading


def _read(read: Callable[[Item], Said], item: Item) -> Said:
    """What a dialect reads. A fault in one must not lose the item's neighbors, which no client would send again."""
    try:
        return read(item)
    except Exception as error:
        log.exception("a dialect failed")
        raise Refused("not_understood", f"A fault of ours: this item made the reader fail ({error!r}).") from error
