"""The one writer of examples: a change ends rows, begins others, and makes exactly one revision.

Whoever else writes examples in bulk takes `locked_set` first and ends with `close_revision`.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import connection, transaction
from django.db.models import Min, QuerySet

from apps.core.errors import Conflict, Invalid, NotFound
from apps.core.ids import random_base62
from apps.evals.examples import NOT_IN_TEXT, BadExample, ExampleBody, body_as_dict, content_hash, key_problem, shown
from apps.evals.models import EvalSet, Example, Revision
from apps.evals.schemas import violations
from apps.evals.selectors.examples import ExampleFilter, matching
from apps.evals.types import ExampleOrigin, ReviewState
from apps.projects import audit
from apps.projects.types import Actor

MOST_EXAMPLES = 250_000
MAX_NOTE = 2_000
BATCH = 500
BATCH_CHARACTERS = 16 * 1024 * 1024
"""How much of bodies is sent to the database in one statement, about."""

TALLY = """
SELECT count(*), count(*) FILTER (WHERE state = 'approved'),
       encode(sha256(convert_to(coalesce(string_agg(
           content_hash || ' ' || state || ' ' || key, E'\\n' ORDER BY key COLLATE "C"), ''), 'UTF8')), 'hex')
FROM evals_example WHERE eval_set_id = %s AND until IS NULL
"""
CARRY_OVER = """
INSERT INTO evals_example (uuid, project_id, eval_set_id, key, since, until, variables, messages, tools, expected,
    context, metadata, slices, state, content_hash, origin, trace_id, span_id, note, author_name, made_at,
    first_made_at)
SELECT gen_random_uuid(), project_id, eval_set_id, key, %s, NULL, variables, messages, tools, expected,
    context, metadata, slices, %s, content_hash, origin, trace_id, span_id, note, %s, %s, first_made_at
FROM evals_example WHERE id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Add:
    """A new example. Without a key it gets one. With `may_replace`, an example that has the key takes this content."""

    body: ExampleBody
    key: str = ""
    state: ReviewState = ReviewState.DRAFT
    origin: ExampleOrigin = ExampleOrigin.PERSON
    trace_id: str = ""
    span_id: str = ""
    note: str = ""
    may_replace: bool = False


@dataclass(frozen=True, slots=True)
class Replace:
    """Another content or state for an example that is there; None keeps what it has. `base` is the revision since
    which the writer knows it to be as it is; None: whatever is there is replaced."""

    key: str
    body: ExampleBody | None = None
    state: ReviewState | None = None
    note: str | None = None
    base: int | None = None


@dataclass(frozen=True, slots=True)
class StateChange:
    """A state for many examples: those with the keys, or without keys all that the filter finds."""

    state: ReviewState
    keys: tuple[str, ...] | None = None
    where: ExampleFilter = ExampleFilter()


@dataclass(frozen=True, slots=True)
class Changes:
    """What one revision does. A key stands in one place only."""

    adds: tuple[Add, ...] = ()
    replaces: tuple[Replace, ...] = ()
    removes: tuple[str, ...] = ()
    states: tuple[StateChange, ...] = ()


class SetIsArchived(Conflict):
    """The examples of an archived set stay as they are."""

    code, message = "set_archived", "This eval set is archived. Bring it back, then change it."


class KeyTaken(Conflict):
    """An example of the set has this key."""

    code, message = "key_taken", "There is an example {key} already. Change that one, or choose another key."


class ExampleMoved(Conflict):
    """Somebody changed the example since the writer saw it."""

    code = "moved_on"
    message = "{by} changed the example {key} in revision {revision}. Look at it again, then make your change."


class TooManyExamples(Conflict):
    """The set would hold more than it may."""

    code, message = "too_many_examples", "An eval set may hold {most} examples. Begin another set."


class NothingToChange(Invalid):
    """Nothing would change in a set that has no revision yet."""

    code, message = "nothing_to_change", "There is nothing to change. Send at least one example."


def new_key() -> str:
    """A key for an example that brought none."""
    return random_base62(12)


def locked_set(eval_set: EvalSet) -> EvalSet:
    """The set as it is now, its row locked until the transaction ends. Taken before rows of examples."""
    return EvalSet.objects.select_for_update(no_key=True, of=("self",)).select_related("project").get(pk=eval_set.pk)


@transaction.atomic
def change_examples(*, eval_set: EvalSet, changes: Changes, actor: Actor, note: str = "", now: datetime) -> Revision:
    """Make all the changes as one revision, or none of them; the newest revision when nothing would be different.

    Raises BadExample with errors by field (`adds.0.variables.name`), KeyTaken, ExampleMoved, NotFound for a key that
    is not there, SetIsArchived, TooManyExamples, NothingToChange.
    """
    if len(note) > MAX_NOTE or NOT_IN_TEXT.search(note):
        raise Invalid(note=[f"A note may have {MAX_NOTE:,} characters that can be stored."])
    held = locked_set(eval_set)
    if held.archived_at is not None:
        raise SetIsArchived
    changes = replace(changes, adds=tuple(one if one.key else replace(one, key=new_key()) for one in changes.adds))
    _require_good(held, changes)
    number = held.head + 1
    writer = _Writer(held, number, actor, now)
    # States first: what else is written below would be found by their filters.
    for change in changes.states:
        writer.set_states(change)
    writer.write(changes)
    if not (writer.added or writer.changed or writer.removed):
        newest = Revision.objects.filter(eval_set=held).first()
        if newest is None:
            raise NothingToChange
        return newest
    return close_revision(
        held=held, added=writer.added, changed=writer.changed, removed=writer.removed, actor=actor, note=note, now=now
    )


def close_revision(
    *, held: EvalSet, added: int, changed: int, removed: int, actor: Actor, note: str, now: datetime
) -> Revision:
    """The revision over rows that were just written with `since` (or `until`) of head + 1.

    Inside the transaction that has the set locked. Its hash is SHA-256 over the lines "content_hash state key" of what
    the set holds, in the order of the keys' bytes. Raises TooManyExamples.
    """
    with connection.cursor() as cursor:
        cursor.execute(TALLY, [held.pk])
        examples, approved, digest = cursor.fetchone()
    if examples > MOST_EXAMPLES and added > removed:
        raise TooManyExamples(most=MOST_EXAMPLES)
    number = held.head + 1
    revision = Revision.objects.create(
        project_id=held.project_id,
        eval_set=held,
        number=number,
        made_at=now,
        actor_kind=actor.kind,
        actor_name=actor.name[:254],
        note=note.strip(),
        added=added,
        changed=changed,
        removed=removed,
        examples=examples,
        approved=approved,
        content_hash=digest,
    )
    EvalSet.objects.filter(pk=held.pk).update(head=number, changed_at=now)
    details: Mapping[str, audit.Detail] = {"revision": number, "added": added, "changed": changed, "removed": removed}
    audit.record(actor=actor, action="evals.set_revised", project=held.project, target=held, at=now, details=details)
    return revision


class _Writer:
    """Ends rows and begins others in one revision of a set that is locked; counts what it did."""

    def __init__(self, held: EvalSet, number: int, actor: Actor, now: datetime) -> None:
        self.held, self.number, self.actor, self.now = held, number, actor, now
        self.added = self.changed = self.removed = 0

    def set_states(self, change: StateChange) -> None:
        """Give the examples the state; those that have it stay as they are. Raises NotFound for an unknown key."""
        rows = _current(self.held)
        if change.keys is not None:
            rows = rows.filter(key__in=_storable(change.keys))
            _require_known(set(change.keys), set(rows.values_list("key", flat=True)))
        else:
            rows = matching(rows, change.where)
        self._carry_over(list(rows.exclude(state=change.state.value).values_list("pk", flat=True)), change.state)

    def _carry_over(self, ids: Sequence[int], state: ReviewState) -> None:
        """End the rows and begin equal ones with another state."""
        if not ids:
            return
        self._end(ids)
        with connection.cursor() as cursor:
            cursor.execute(CARRY_OVER, [self.number, state.value, self.actor.name[:254], self.now, list(ids)])
        self.changed += len(ids)

    def _end(self, ids: Sequence[int]) -> None:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE evals_example SET until = %s WHERE id = ANY(%s)", [self.number, list(ids)])

    def write(self, changes: Changes) -> None:
        """Remove, replace and add."""
        keys = [*changes.removes, *(one.key for one in changes.replaces), *(one.key for one in changes.adds)]
        there = {row.key: row for row in _known(_current(self.held).filter(key__in=_storable(keys)))}
        _require_known({*changes.removes, *(one.key for one in changes.replaces)}, there)
        self._end([there[key].pk for key in changes.removes])
        self.removed += len(changes.removes)
        for one in changes.replaces:
            self._replace(one, there[one.key])
        begun = self._begin_times(one.key for one in changes.adds if one.key not in there)
        self._insert(self._rows_of(changes.adds, there, begun))

    def _begin_times(self, keys: Iterable[str]) -> dict[str, datetime]:
        """When keys that were removed once first appeared."""
        rows = Example.objects.filter(eval_set=self.held, key__in=list(keys)).order_by()
        return dict(rows.values_list("key").annotate(Min("first_made_at")))

    def _replace(self, one: Replace, row: Example) -> None:
        if one.base is not None and row.since != one.base:
            raise ExampleMoved(by=row.author_name, key=row.key, revision=row.since)
        state = one.state or ReviewState(row.state)
        same_body = one.body is None or content_hash(one.body) == row.content_hash
        if same_body and one.note in {None, row.note}:
            self._carry_over([row.pk] if state != row.state else [], state)
            return
        body = one.body or body_of(Example.objects.get(pk=row.pk))
        note = row.note if one.note is None else one.note
        self._end([row.pk])
        self.changed += 1
        self._insert([self._row(row.key, body, state, note, row)])

    def _rows_of(
        self, adds: Sequence[Add], there: Mapping[str, Example], begun: Mapping[str, datetime]
    ) -> Iterator[Example]:
        """New rows for what is added; an example that takes a key's place is a change."""
        for one in adds:
            old = there.get(one.key)
            if old is None:
                self.added += 1
                yield self._row(one.key, one.body, one.state, one.note, one, begun.get(one.key))
            elif not one.may_replace:
                raise KeyTaken(key=one.key)
            elif (content_hash(one.body), one.state.value, one.note) != (old.content_hash, old.state, old.note):
                self._end([old.pk])
                self.changed += 1
                yield self._row(one.key, one.body, one.state, one.note, old)

    def _row(
        self,
        key: str,
        body: ExampleBody,
        state: ReviewState,
        note: str,
        source: Add | Example,
        begun: datetime | None = None,
    ) -> Example:
        """A row of this revision; where it came from is the source's."""
        first = source.first_made_at if isinstance(source, Example) else begun or self.now
        return Example(
            project_id=self.held.project_id,
            eval_set=self.held,
            key=key,
            since=self.number,
            **body_as_dict(body),
            state=state,
            content_hash=content_hash(body),
            origin=source.origin,
            trace_id=source.trace_id,
            span_id=source.span_id,
            note=note,
            author_name=self.actor.name[:254],
            made_at=self.now,
            first_made_at=first,
        )

    def _insert(self, rows: Iterable[Example]) -> None:
        """Insert in statements of a bounded size."""
        waiting: list[Example] = []
        room = BATCH_CHARACTERS
        for row in rows:
            waiting.append(row)
            room -= _weight(row)
            if len(waiting) == BATCH or room <= 0:
                Example.objects.bulk_create(waiting)
                waiting, room = [], BATCH_CHARACTERS
        Example.objects.bulk_create(waiting)


def body_of(row: Example) -> ExampleBody:
    """What a row says, as a value."""
    return ExampleBody(
        variables=row.variables,
        messages=None if row.messages is None else tuple(row.messages),
        tools=None if row.tools is None else tuple(row.tools),
        expected=row.expected,
        context=tuple(row.context),
        metadata=row.metadata,
        slices=tuple(row.slices),
    )


def _weight(row: Example) -> int:
    """About how many characters the row's body has: the long ones are long texts at the first or second level."""
    parts = [*row.variables.values(), *(row.messages or []), *row.context, row.expected]
    return sum(len(str(part)) for part in parts if part is not None)


def _current(held: EvalSet) -> QuerySet[Example]:
    return Example.objects.filter(eval_set=held, until=None)


def _storable(keys: Iterable[str]) -> list[str]:
    """The keys without those that no row can have, which the database would not even look for."""
    return [key for key in keys if not NOT_IN_TEXT.search(key)]


def _known(rows: QuerySet[Example]) -> QuerySet[Example]:
    """Rows without their bodies, which may be megabytes each."""
    return rows.defer("variables", "messages", "tools", "expected", "context", "metadata", "slices")


def _require_known(keys: set[str], there: Container[str]) -> None:
    missing = sorted(shown(key) for key in keys if key not in there)
    if missing:
        raise NotFound(f"There is no example {missing[0]} in this set.", keys=missing[:20])


def _require_good(held: EvalSet, changes: Changes) -> None:
    """Raise BadExample for keys that cannot be used or stand twice, and for what breaks the set's schemas."""
    problems: dict[str, list[str]] = {}
    seen: set[str] = set()
    placed = [
        *((f"adds.{at}", one.key) for at, one in enumerate(changes.adds)),
        *((f"replaces.{at}", one.key) for at, one in enumerate(changes.replaces)),
        *((f"removes.{at}", key) for at, key in enumerate(changes.removes)),
    ]
    for place, key in placed:
        if place.startswith("adds") and (fault := key_problem(key)):
            problems[f"{place}.key"] = [fault]
        if key in seen:
            problems[f"{place}.key"] = [f"The key {shown(key)} stands twice in this change."]
        seen.add(key)
    bodies: list[tuple[str, ExampleBody | None, str]] = [
        *((f"adds.{at}", one.body, one.note) for at, one in enumerate(changes.adds)),
        *((f"replaces.{at}", one.body, one.note or "") for at, one in enumerate(changes.replaces)),
    ]
    for place, body, note in bodies:
        if len(note) > MAX_NOTE or NOT_IN_TEXT.search(note):
            problems[f"{place}.note"] = [f"A note may have {MAX_NOTE:,} characters that can be stored."]
        if body is not None:
            problems |= violations(held.input_schema, dict(body.variables), f"{place}.variables")
            problems |= violations(held.expected_schema, body.expected, f"{place}.expected")
    if problems:
        raise BadExample(problems)
