"""Importing examples: keep the bytes, read them row by row, and make one revision of what was read.

Each step leaves rows behind, so a process that dies loses nothing that was acknowledged: an upload that was cut off
says so, a reading that was cut off is begun again, and the revision is one transaction.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import uuid4

from django.db import connection, transaction

from apps.accounts.models import User
from apps.core import jobs
from apps.core.errors import Conflict, DomainError
from apps.evals.examples import body_as_dict, canonical, content_hash
from apps.evals.importing import formats
from apps.evals.importing import mapping as mappings
from apps.evals.importing.building import Built, build
from apps.evals.importing.formats import Format
from apps.evals.importing.found import MAX_FILE, MAX_ROWS, BadFile, Problem, Record, RowRefused
from apps.evals.importing.mapping import Mapped, Target
from apps.evals.models import EvalSet, Revision, SetImport, SetImportPiece, StagedExample
from apps.evals.schemas import violations
from apps.evals.selectors import set_imports as selectors
from apps.evals.selectors.set_imports import KEPT, PLANNED, Tally
from apps.evals.services.set_changes import SetIsArchived, close_revision, locked_set
from apps.evals.types import Json, ReviewState
from apps.projects.types import Actor

LEASE = timedelta(minutes=10)
"""Longer than the largest file takes."""
MOST_READINGS = 3
READ_AT_ONCE = 1024 * 1024
"""A file up to this size is read while its sender waits; a larger one by a task."""
PIECE = 256 * 1024
BATCH = 1_000
BATCH_CHARACTERS = 8 * 1024 * 1024
MOST_PROBLEMS = 100
MOST_WAITING = 10
"""Uploads into one set that wait at once."""
REMEMBERED = timedelta(days=30)
CUT_OFF = "The upload was cut off. Nothing was changed; send the file again."
GAVE_UP = "Reading this file was cut off several times. Nothing was changed; try a smaller file."


class FileTooLarge(DomainError):
    """More bytes than an upload may have."""

    code, http_status = "too_large", 413
    message = "A file may have {limit} MiB. Split it; rows with other keys are added to the set."


class NotReady(Conflict):
    """The upload is not at the step that was asked for."""

    code, message = "not_ready", "This import is {state}. Reload the page to see where it stands."


class CannotReplaceAll(Conflict):
    """A row that could not be read has no key, so what it was meant to keep would be removed."""

    code = "cannot_replace_all"
    message = (
        "{rows} rows could not be read and name no key, so their examples would be removed. Correct the file, or add "
        "and update instead."
    )


@dataclass(frozen=True, slots=True)
class Wish:
    """How an upload is to be read. Without a mapping it is guessed."""

    mapping: Mapping[str, Json] | None = None
    state: ReviewState = ReviewState.DRAFT
    replaces_all: bool = False
    format: str = ""
    encoding: str = "auto"


class Outcome(NamedTuple):
    """What came of an upload; `revision` is None when nothing was to be changed."""

    upload: SetImport
    tally: Tally
    revision: Revision | None


# --- Receiving ------------------------------------------------------------------------------------------------------


def receive(
    *,
    eval_set: EvalSet,
    filename: str,
    pieces: Iterable[bytes],
    wish: Wish,
    author: User | None,
    actor: Actor,
    now: datetime,
) -> SetImport:
    """Keep the bytes as they arrive and find out what they are; the upload then waits for its mapping.

    Raises BadFile and FileTooLarge, and leaves nothing behind then. One that is cut off is told of by `resume`.
    """
    if eval_set.archived_at is not None:
        raise SetIsArchived
    _make_room(eval_set)
    upload = SetImport.objects.create(
        project_id=eval_set.project_id,
        eval_set=eval_set,
        author=author,
        actor_name=actor.name[:254],
        filename=filename.replace("\x00", "")[-255:] or "upload",
        default_state=wish.state.value,
        replaces_all=wish.replaces_all,
        created_at=now,
        lease_token=uuid4(),
        lease_until=now + LEASE,
    )
    try:
        upload.size = _keep(upload, pieces)
        _look_at(upload, wish)
    except (BadFile, FileTooLarge):
        upload.delete()
        raise
    upload.state, upload.lease_token, upload.lease_until = "mapping", None, None
    upload.save()
    return upload


def _make_room(eval_set: EvalSet) -> None:
    """Of the uploads into a set that wait for somebody, the newest few are kept."""
    waiting = SetImport.objects.filter(eval_set=eval_set, state__in=("mapping", "ready")).order_by("-created_at", "-pk")
    old = list(waiting.values_list("pk", flat=True)[MOST_WAITING - 1 :])
    SetImport.objects.filter(pk__in=old).delete()


def _keep(upload: SetImport, pieces: Iterable[bytes]) -> int:
    """Store the bytes in pieces of one size; returns how many there are."""
    size = 0
    for number, piece in enumerate(_even(pieces)):
        size += len(piece)
        if size > MAX_FILE:
            raise FileTooLarge(limit=MAX_FILE // 1024 // 1024)
        SetImportPiece.objects.create(project_id=upload.project_id, upload=upload, number=number, data=piece)
    return size


def _even(pieces: Iterable[bytes]) -> Iterator[bytes]:
    waiting = bytearray()
    for piece in pieces:
        waiting += piece
        while len(waiting) >= PIECE:
            yield bytes(waiting[:PIECE])
            del waiting[:PIECE]
    if waiting:
        yield bytes(waiting)


def _look_at(upload: SetImport, wish: Wish) -> None:
    """Find out format, encoding and mapping. Raises BadFile."""
    format, encoding, _ = formats.look_at(
        selectors.pieces_of(upload),
        filename=upload.filename,
        declared_format=wish.format,
        declared_encoding=wish.encoding,
    )
    upload.format, upload.encoding = format.value, encoding
    mapping = selectors.head_of(upload).mapping if wish.mapping is None else mappings.from_dict(wish.mapping)
    upload.mapping = mappings.as_dict(mapping)


# --- Reading --------------------------------------------------------------------------------------------------------


def begin_reading(*, upload: SetImport, mapping: Mapped, state: ReviewState, replaces_all: bool, now: datetime) -> None:
    """Have the rows read with this mapping: a small file at once, a larger one by a task. May be asked for again with
    another mapping until the upload is confirmed. Raises NotReady."""
    moved = SetImport.objects.filter(pk=upload.pk, state__in=("mapping", "ready")).update(
        state="reading",
        mapping=mappings.as_dict(mapping),
        default_state=state.value,
        replaces_all=replaces_all,
        readings=0,
        lease_token=None,
        lease_until=now,
        rows=0,
    )
    upload.refresh_from_db()
    if moved != 1:
        raise NotReady(state=upload.state)
    if upload.size > READ_AT_ONCE:
        jobs.enqueue("evals.read_import", import_id=upload.pk)
        return
    read(upload.pk, now=now)
    upload.refresh_from_db()
    jobs.enqueue("evals.find_import_duplicates", import_id=upload.pk)


def read(import_id: int, *, now: datetime) -> None:
    """Read the rows into the staging table, unless somebody else is at it or it was done. A file that cannot be read
    ends as `failed`, with the sentence."""
    token = uuid4()
    claimed = SetImport.objects.filter(pk=import_id, state="reading", lease_until__lte=now).update(
        lease_token=token, lease_until=now + LEASE
    )
    if claimed != 1:
        return
    upload = SetImport.objects.select_related("eval_set").get(pk=import_id)
    reader = _Reader(upload)
    try:
        reader.run()
        _finish(reader)
    except BadFile as error:
        _fail(upload, error.text, now)
    except LeaseLost:
        return  # somebody else is at it


def _finish(reader: _Reader) -> None:
    """Say what was read and what confirming it would do."""
    upload = reader.upload
    tally = selectors.tally_of(upload)
    _held(upload).update(
        state="ready",
        rows=reader.rows,
        counts={**tally.as_dict(), "rejected": reader.rejected, "without_key": reader.without_key, **reader.codes},
        problems=[problem.as_dict() for problem in reader.problems],
        duplicates=selectors.exact_duplicates(upload),
        lease_token=None,
        lease_until=None,
    )


def find_duplicates(import_id: int) -> None:
    """Add near duplicates to what is known of an upload that waits to be confirmed."""
    upload = SetImport.objects.filter(pk=import_id, state="ready").first()
    if upload is None:
        return
    found = selectors.all_duplicates(upload)
    counts = {**upload.counts, "looked_near": 1}
    # Unless it was read again meanwhile, with another mapping.
    waiting = SetImport.objects.filter(pk=import_id, state="ready", readings=upload.readings, counts=upload.counts)
    waiting.update(duplicates=found, counts=counts)


def _held(upload: SetImport) -> Any:
    """The upload's row, for whoever holds its lease."""
    return SetImport.objects.filter(pk=upload.pk, lease_token=upload.lease_token)


def _fail(upload: SetImport, sentence: str, now: datetime) -> None:
    """End the upload, and let go of what it kept."""
    with transaction.atomic():
        ended = _held(upload).update(
            state="failed", sentence=sentence, ended_at=now, lease_token=None, lease_until=None
        )
        if ended:
            _let_go(upload.pk)


def _let_go(import_id: int) -> None:
    SetImportPiece.objects.filter(upload_id=import_id).delete()
    StagedExample.objects.filter(upload_id=import_id).delete()


class LeaseLost(Exception):
    """Somebody else reads this upload by now."""


@dataclass(slots=True)
class _Reader:
    """One pass over the rows of an upload."""

    upload: SetImport
    rows: int = 0
    rejected: int = 0
    without_key: int = 0
    """Rows that were refused and whose key is not known."""
    codes: dict[str, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    _first: dict[str, int] = field(default_factory=dict)
    """The row of each key."""
    _unnamed: dict[str, int] = field(default_factory=dict)
    """How often each input came without a key."""

    def run(self) -> None:
        """Stage every good row, in batches of a bounded size. Raises BadFile and LeaseLost."""
        StagedExample.objects.filter(upload=self.upload).delete()
        batch: list[tuple[object, ...]] = []
        characters = 0
        for row in self._staged():
            batch.append(row)
            characters += len(str(row[-2]))
            if len(batch) == BATCH or characters > BATCH_CHARACTERS:
                self._write(batch)
                batch, characters = [], 0
        self._write(batch)

    def _staged(self) -> Iterator[tuple[object, ...]]:
        mapping = mappings.from_dict(self.upload.mapping)
        key_column = next((column.source for column in mapping if column.target is Target.KEY), "")
        is_table = self.upload.format == Format.CSV
        for found in selectors.rows_of(self.upload):
            self.rows += 1
            if self.rows > MAX_ROWS:
                raise BadFile(f"The file has more than {MAX_ROWS:,} rows. Split it.")
            if isinstance(found, Problem):
                self._refuse(found, is_named=False)
                continue
            try:
                built = build(found, mapping, is_table=is_table)
                self._check(built)
                key = self._key(found, built)
            except RowRefused as error:
                key = self._key_of_refused(found, key_column)
                problem = Problem(found.row, error.column, error.code, error.message)
                self._refuse(problem, is_named=bool(key) or error.code == "duplicate_key")
                if key:
                    yield self.upload.project_id, self.upload.pk, found.row, key, "{}", ""
                continue
            yield self._row(found, built, key)

    def _check(self, built: Built) -> None:
        """Raise RowRefused for what breaks the set's schemas."""
        held = self.upload.eval_set
        broken = violations(held.input_schema, dict(built.body.variables), "variables")
        broken |= violations(held.expected_schema, built.body.expected, "expected")
        for place, sentences in broken.items():
            raise RowRefused(place, "breaks_schema", " ".join(sentences))

    def _key(self, found: Record, built: Built) -> str:
        """The row's key. Without one it is made of the input, so that the same file gives the same keys again."""
        key = built.key
        if not key:
            asked = canonical([dict(built.body.variables), built.body.messages])
            key = hashlib.sha256(asked.encode()).hexdigest()[:16]
            count = self._unnamed[key] = self._unnamed.get(key, 0) + 1
            key = key if count == 1 else f"{key}-{count}"
        first = self._first.setdefault(key, found.row)
        if first != found.row:
            raise RowRefused("key", "duplicate_key", f"Row {first} has the key {key} already. Give each row its own.")
        return key

    def _key_of_refused(self, found: Record, column: str) -> str:
        """The key of a row that was refused, unless another row has it."""
        value = found.values.get(column)
        key = str(value) if isinstance(value, str | int) else ""
        if not key or len(key) > 200 or "\x00" in key or not key.isprintable() or key in self._first:
            return ""
        self._first[key] = found.row
        return key

    def _row(self, found: Record, built: Built, key: str) -> tuple[object, ...]:
        example = {**body_as_dict(built.body), "state": built.state, "note": built.note}
        text = json.dumps(example, ensure_ascii=False)
        return self.upload.project_id, self.upload.pk, found.row, key, text, content_hash(built.body)

    def _refuse(self, problem: Problem, *, is_named: bool) -> None:
        self.rejected += 1
        self.without_key += not is_named
        self.codes[f"code_{problem.code}"] = self.codes.get(f"code_{problem.code}", 0) + 1
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(problem)

    @transaction.atomic
    def _write(self, batch: list[tuple[object, ...]]) -> None:
        """Stage a batch and say how far we are, unless the lease went to somebody else."""
        if _held(self.upload).update(rows=self.rows) != 1:
            raise LeaseLost
        copy_staged(batch)


def copy_staged(rows: Iterable[tuple[object, ...]]) -> None:
    """Rows of (project, upload, row, key, example as JSON, hash) into the staging table."""
    columns = "project_id, upload_id, row, key, example, content_hash"
    statement = f"COPY evals_stagedexample ({columns}) FROM STDIN"
    with connection.cursor() as cursor, connection.wrap_database_errors, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


# --- Publishing -----------------------------------------------------------------------------------------------------

INCOMING = f"CREATE TEMPORARY TABLE evals_incoming ON COMMIT DROP AS {PLANNED}"
REMOVE_ABSENT = """
UPDATE evals_example AS held SET until = %(number)s WHERE held.eval_set_id = %(set)s AND held.until IS NULL
AND NOT EXISTS (SELECT 1 FROM evals_incoming AS incoming WHERE incoming.key = held.key)
"""
END_CHANGED = """
UPDATE evals_example AS held SET until = %(number)s FROM evals_incoming AS incoming
WHERE held.id = incoming.old_id AND incoming.action = 'changed'
"""
BEGIN = """
INSERT INTO evals_example (uuid, project_id, eval_set_id, key, since, until, variables, messages, tools, expected,
  context, metadata, slices, state, content_hash, origin, trace_id, span_id, note, author_name, made_at, first_made_at)
SELECT gen_random_uuid(), staged.project_id, %(set)s, staged.key, %(number)s, NULL, example->'variables',
  nullif(example->'messages', 'null'), nullif(example->'tools', 'null'), nullif(example->'expected', 'null'),
  example->'context', example->'metadata', ARRAY(SELECT jsonb_array_elements_text(example->'slices')), incoming.state,
  staged.content_hash, coalesce(incoming.origin, 'import'), coalesce(incoming.trace_id, ''),
  coalesce(incoming.span_id, ''), coalesce(example->>'note', ''), %(author)s, %(now)s,
  coalesce(incoming.first_made_at, begun.at, %(now)s)
FROM evals_incoming AS incoming
JOIN evals_stagedexample AS staged ON staged.upload_id = %(upload)s AND staged.row = incoming.row
LEFT JOIN (
  SELECT key, min(first_made_at) AS at FROM evals_example WHERE eval_set_id = %(set)s AND until IS NOT NULL GROUP BY key
) AS begun ON begun.key = incoming.key
WHERE incoming.action IN ('added', 'changed') ORDER BY incoming.row
"""


@transaction.atomic
def publish_staged(*, upload: SetImport, actor: Actor, now: datetime, note: str = "") -> Outcome:
    """Make one revision of what was read, by set operations under the set's lock; none when nothing would change.

    Asked for again, it answers with what was done. Raises NotReady, SetIsArchived, CannotReplaceAll, TooManyExamples.
    """
    held = locked_set(upload.eval_set)
    upload = SetImport.objects.select_for_update(of=("self",)).select_related("eval_set").get(pk=upload.pk)
    if upload.state == "done":
        revision = Revision.objects.filter(eval_set=held, number=upload.revision or 0).first()
        return Outcome(upload, Tally(**{name: upload.counts[name] for name in Tally().as_dict()}), revision)
    if upload.state != "ready":
        raise NotReady(state=upload.state)
    if held.archived_at is not None:
        raise SetIsArchived
    if upload.replaces_all and upload.counts["without_key"]:
        raise CannotReplaceAll(rows=upload.counts["without_key"])
    tally = _write_examples(upload, held, actor, now)
    revision = None
    if not tally.is_nothing:
        said = note or f"Imported from {upload.filename}"
        revision = close_revision(
            held=held,
            added=tally.added,
            changed=tally.changed,
            removed=tally.removed,
            actor=actor,
            note=said,
            now=now,
        )
    upload.state, upload.ended_at = "done", now
    upload.revision = None if revision is None else revision.number
    upload.counts = {**upload.counts, **tally.as_dict()}
    upload.save()
    _let_go(upload.pk)
    return Outcome(upload, tally, revision)


def _write_examples(upload: SetImport, held: EvalSet, actor: Actor, now: datetime) -> Tally:
    """End and begin rows of examples as the upload says; counts what was done."""
    values = {
        **selectors.plan_values(upload),
        "number": held.head + 1,
        "author": actor.name[:254],
        "now": now,
    }
    with selectors.patient_cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS pg_temp.evals_incoming")
        cursor.execute(INCOMING, values)
        # Without its figures the planner takes the table for a small one.
        cursor.execute("ANALYZE evals_incoming")
        removed = 0
        if upload.replaces_all:
            cursor.execute(REMOVE_ABSENT, values)
            removed = cursor.rowcount
        cursor.execute("SELECT action, count(*) FROM evals_incoming GROUP BY action")
        counted = {action: count for action, count in cursor.fetchall() if action != "refused"}
        cursor.execute(END_CHANGED, values)
        cursor.execute(BEGIN, values)
    return Tally(**counted, removed=removed)


# --- At once, and afterwards ----------------------------------------------------------------------------------------


def import_at_once(
    *,
    eval_set: EvalSet,
    filename: str,
    pieces: Iterable[bytes],
    wish: Wish,
    actor: Actor,
    author: User | None,
    now: datetime,
    is_dry_run: bool = False,
) -> Outcome:
    """Receive, read and publish in one go; with `is_dry_run`, say what would be done and leave nothing behind.

    Raises BadFile, FileTooLarge, SetIsArchived, CannotReplaceAll, TooManyExamples.
    """
    upload = receive(
        eval_set=eval_set, filename=filename, pieces=pieces, wish=wish, author=author, actor=actor, now=now
    )
    SetImport.objects.filter(pk=upload.pk).update(state="reading", lease_until=now)
    read(upload.pk, now=now)
    upload.refresh_from_db()
    if upload.state != "ready":
        sentence = upload.sentence
        raise BadFile(sentence or None)
    if is_dry_run:
        tally = selectors.tally_of(upload)
        discard(upload=upload, now=now)
        return Outcome(upload, tally, None)
    try:
        return publish_staged(upload=upload, actor=actor, now=now)
    except DomainError:
        discard(upload=upload, now=now)
        raise


def discard(*, upload: SetImport, now: datetime) -> None:
    """Throw the upload away, unless it became a revision or is being read."""
    with transaction.atomic():
        ended = SetImport.objects.filter(pk=upload.pk, state__in=("mapping", "ready")).update(
            state="expired", ended_at=now, sentence="It was thrown away."
        )
        if ended:
            _let_go(upload.pk)


def resume(*, now: datetime) -> None:
    """Take up what a process left behind: readings are begun again, uploads that were cut off say so."""
    for upload in selectors.overdue_readings(now=now):
        if upload.state == "uploading":
            _fail(upload, CUT_OFF, now)
        elif upload.readings >= MOST_READINGS:
            _fail(upload, GAVE_UP, now)
        else:
            SetImport.objects.filter(pk=upload.pk, state="reading").update(readings=upload.readings + 1)
            jobs.enqueue("evals.read_import", import_id=upload.pk)


def forget(*, now: datetime) -> None:
    """Let go of uploads that nobody confirmed for a day, and of what is told of ended ones after a month."""
    for upload in SetImport.objects.filter(state__in=("mapping", "ready"), created_at__lte=now - KEPT)[:100]:
        with transaction.atomic():
            sentence = "Nobody confirmed it for a day. Choose the file again."
            SetImport.objects.filter(pk=upload.pk, state__in=("mapping", "ready")).update(
                state="expired", ended_at=now, sentence=sentence
            )
            _let_go(upload.pk)
    SetImport.objects.filter(ended_at__lte=now - REMEMBERED).delete()
