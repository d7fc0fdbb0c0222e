"""Reads for imports and exports of eval sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper
from django.db.models import QuerySet

from apps.core.errors import NotFound
from apps.evals import near_duplicates
from apps.evals.importing import mapping as mappings
from apps.evals.importing import writing
from apps.evals.importing.formats import Format, records
from apps.evals.importing.found import BadFile, Problem, Record
from apps.evals.models import EvalSet, Example, SetImport, SetImportPiece, StagedExample
from apps.evals.selectors.examples import stream_examples
from apps.evals.types import Json

KEPT = timedelta(days=1)
"""How long an upload waits to be confirmed."""
SAMPLE = 50
"""Rows from whose values the meaning of columns is guessed."""
MOST_COMPARED = 5_000
"""Rows up to which near duplicates are looked for before an import; beyond, the health page does."""
MOST_GROUPS = 50

# A row that was refused has no hash: it keeps the example that has its key, and brings nothing.
PLANNED = """
SELECT staged.row, staged.key, held.id AS old_id, held.origin, held.trace_id, held.span_id, held.first_made_at,
  coalesce(nullif(staged.example->>'state', ''), %(state)s) AS state,
  CASE WHEN staged.content_hash = '' THEN 'refused'
       WHEN held.id IS NULL THEN 'added'
       WHEN held.content_hash = staged.content_hash
        AND coalesce(nullif(staged.example->>'state', ''), held.state) = held.state
        AND coalesce(nullif(staged.example->>'note', ''), held.note) = held.note THEN 'unchanged'
       ELSE 'changed' END AS action
FROM evals_stagedexample AS staged
LEFT JOIN evals_example AS held ON held.eval_set_id = %(set)s AND held.until IS NULL AND held.key = staged.key
WHERE staged.upload_id = %(upload)s
"""
TALLY = f"SELECT action, count(*) FROM ({PLANNED}) AS planned GROUP BY action"  # noqa: S608
ABSENT = """
SELECT count(*) FROM evals_example AS held WHERE held.eval_set_id = %(set)s AND held.until IS NULL AND NOT EXISTS (
  SELECT 1 FROM evals_stagedexample AS staged WHERE staged.upload_id = %(upload)s AND staged.key = held.key)
"""
# The text of jsonb is the same for equal values.
SAME_INPUT = """
WITH asked AS (
  SELECT row, key, md5(concat(example->>'variables', '|', example->>'messages')) AS input
  FROM evals_stagedexample WHERE upload_id = %(upload)s AND content_hash <> ''
), held AS (
  SELECT key, md5(concat(variables::text, '|', messages::text)) AS input
  FROM evals_example WHERE eval_set_id = %(set)s AND until IS NULL
), doubled AS (
  SELECT input, (array_agg(key ORDER BY row))[1:20] AS keys, count(*) AS many FROM asked GROUP BY input
), elsewhere AS (
  SELECT held.input, (array_agg(held.key))[1:20] AS keys FROM held
  WHERE NOT EXISTS (SELECT 1 FROM asked WHERE asked.key = held.key) GROUP BY held.input
)
SELECT doubled.keys, coalesce(elsewhere.keys, '{}'), doubled.many FROM doubled
LEFT JOIN elsewhere ON elsewhere.input = doubled.input
WHERE doubled.many > 1 OR elsewhere.keys IS NOT NULL ORDER BY doubled.many DESC, doubled.keys LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Tally:
    """What an import would do, or did."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0

    @property
    def is_nothing(self) -> bool:
        """True when the set stays as it is."""
        return not (self.added or self.changed or self.removed)

    def as_dict(self) -> dict[str, int]:
        """By name."""
        return asdict(self)


def get_import(eval_set: EvalSet, uuid: UUID) -> SetImport:
    """The import into the set. Raises NotFound."""
    found = SetImport.objects.filter(eval_set=eval_set, uuid=uuid).select_related("eval_set", "project").first()
    if found is None:
        raise NotFound("This import is not there any more. Choose the file again.")
    return found


def list_imports(eval_set: EvalSet, limit: int = 10) -> list[SetImport]:
    """The set's newest imports."""
    return list(SetImport.objects.filter(eval_set=eval_set).order_by("-created_at").defer("problems")[:limit])


def pieces_of(upload: SetImport) -> Iterator[bytes]:
    """The bytes of the upload, each piece read when it is wanted."""
    numbers = list(SetImportPiece.objects.filter(upload=upload).order_by("number").values_list("pk", flat=True))
    for pk in numbers:
        yield bytes(SetImportPiece.objects.values_list("data", flat=True).get(pk=pk))


def rows_of(upload: SetImport) -> Iterator[Record | Problem]:
    """The rows of the upload as they stand in the file. Raises BadFile, also midway."""
    return records(pieces_of(upload), format=Format(upload.format), encoding=upload.encoding)


@dataclass(frozen=True, slots=True)
class Head:
    """The first rows of an upload, and what its columns most likely mean."""

    columns: tuple[str, ...]
    rows: tuple[Mapping[str, Json], ...]
    mapping: mappings.Mapped


def head_of(upload: SetImport, limit: int = SAMPLE) -> Head:
    """The first rows that can be read. Raises BadFile when there are none."""
    found: list[Mapping[str, Json]] = []
    problem = ""
    for one in rows_of(upload):
        if isinstance(one, Record):
            found.append(one.values)
        else:
            problem = problem or f" Row {one.row}: {one.message}"
        if len(found) >= limit:
            break
    if not found:
        raise BadFile(f"There is no row that can be read in this file.{problem}")
    columns = tuple(dict.fromkeys(name for row in found for name in row))[: mappings.MAX_COLUMNS]
    return Head(columns, tuple(found), mappings.guess(found))


def plan_values(upload: SetImport) -> dict[str, int | str]:
    """The values of PLANNED, ABSENT and SAME_INPUT."""
    return {"state": upload.default_state, "set": upload.eval_set_id, "upload": upload.pk, "most": MOST_GROUPS}


@contextmanager
def patient_cursor() -> Iterator[CursorWrapper]:
    """A cursor, in a transaction, for joins of many rows that were written a moment ago: the planner has no figures of
    them yet, and would look each one up in turn."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_nestloop = off")
        cursor.execute("SET LOCAL statement_timeout = '120s'")
        yield cursor
        cursor.execute("SET LOCAL enable_nestloop = on")


def tally_of(upload: SetImport) -> Tally:
    """What confirming the upload would do to the set as it is now."""
    with patient_cursor() as cursor:
        cursor.execute(TALLY, plan_values(upload))
        found = dict(cursor.fetchall())
        found.pop("refused", None)
        if upload.replaces_all:
            cursor.execute(ABSENT, plan_values(upload))
            found["removed"] = cursor.fetchone()[0]
    return Tally(**found)


def shown_tally(upload: SetImport) -> Tally:
    """What confirming would do; of a large upload as it was when its rows were read, since counting takes a second."""
    if upload.rows <= MOST_COMPARED:
        return tally_of(upload)
    return Tally(**{name: upload.counts[name] for name in Tally().as_dict()})


def first_staged(upload: SetImport, limit: int = 20) -> list[StagedExample]:
    """The first rows that were taken."""
    rows = StagedExample.objects.filter(upload=upload).exclude(content_hash="")
    return list(rows.order_by("row")[:limit])


def exact_duplicates(upload: SetImport) -> list[dict[str, Json]]:
    """Groups of rows that ask just what each other or an example of the set asks."""
    with patient_cursor() as cursor:
        cursor.execute(SAME_INPUT, plan_values(upload))
        return [{"keys": list(keys), "held": list(held), "similarity": 1.0} for keys, held, _ in cursor.fetchall()]


def all_duplicates(upload: SetImport) -> list[dict[str, Json]]:
    """The groups of rows that ask the same: exact ones first, then near ones, where upload and set are small enough."""
    found = exact_duplicates(upload)
    exact = {key for group in found for key in (*group["keys"], *group["held"])}
    found += [group for group in _near_duplicates(upload) if not {*group["keys"], *group["held"]} <= exact]
    return found[:MOST_GROUPS]


def _near_duplicates(upload: SetImport) -> list[dict[str, Json]]:
    staged = StagedExample.objects.filter(upload=upload).exclude(content_hash="").order_by("row")
    held = Example.objects.filter(eval_set_id=upload.eval_set_id, until=None)
    if staged.count() + held.count() > MOST_COMPARED:
        return []
    new = [(key, near_duplicates.input_text(one["variables"], one["messages"])) for key, one in _examples(staged)]
    names = {key for key, _ in new}
    old = [
        (key, near_duplicates.input_text(variables, messages))
        for key, variables, messages in held.values_list("key", "variables", "messages").iterator(chunk_size=500)
        if key not in names
    ]
    both = [*new, *old]
    groups = []
    for group in near_duplicates.groups([text for _, text in both]):
        fresh = [both[place][0] for place in group.members if place < len(new)]
        if fresh:
            there = [both[place][0] for place in group.members if place >= len(new)]
            groups.append({"keys": fresh[:20], "held": there[:20], "similarity": round(group.similarity, 3)})
    return groups


def _examples(staged: QuerySet[StagedExample]) -> Iterator[tuple[str, dict[str, Json]]]:
    yield from staged.values_list("key", "example").iterator(chunk_size=500)


def overdue_readings(*, now: datetime) -> list[SetImport]:
    """Uploads and readings whose process is gone."""
    rows = SetImport.objects.filter(state__in=("uploading", "reading"), lease_until__lte=now)
    return list(rows.order_by("created_at")[:100])


def variable_names(eval_set: EvalSet, revision: int, most: int) -> list[str]:
    """The names of variables that the revision's examples have, in order; at most `most + 1`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT name FROM evals_example, jsonb_object_keys(variables) AS name WHERE eval_set_id = %s "
            "AND since <= %s AND (until IS NULL OR until > %s) ORDER BY name LIMIT %s",
            [eval_set.pk, revision, revision, most + 1],
        )
        return [name for (name,) in cursor.fetchall()]


def exported(eval_set: EvalSet, revision: int, form: str) -> Iterator[bytes]:
    """The revision's examples as the bytes of a file, while they are read. `form` is one of `writing.MEDIA_TYPES`."""
    names = variable_names(eval_set, revision, writing.MOST_VARIABLES) if form == "csv" else []
    lines = ({name: getattr(one, name) for name in writing.FIELDS} for one in stream_examples(eval_set, revision))
    return writing.write(lines, form, names)
