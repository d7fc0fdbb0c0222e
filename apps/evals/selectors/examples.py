"""Reads of examples: at a revision, by filter, one with its history, and what a revision changed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from django.db.models import F, Func, JSONField, Q, QuerySet, TextField
from django.db.models.functions import Cast

from apps.core.errors import NotFound
from apps.evals.examples import NOT_IN_TEXT, shown
from apps.evals.models import EvalSet, Example, Revision
from apps.projects.models import Project

PAGE_SIZE = 50
HISTORY_SHOWN = 100
BODY = ("variables", "messages", "tools", "expected", "context", "metadata")


@dataclass(frozen=True, slots=True)
class ExampleFilter:
    """Which examples; empty fields do not filter. `text` is looked for in key, input and expected output."""

    state: str = ""
    slice: str = ""
    text: str = ""
    origin: str = ""

    @property
    def is_empty(self) -> bool:
        """True when it finds everything."""
        return not (self.state or self.slice or self.text or self.origin)


def matching(rows: QuerySet[Example], where: ExampleFilter) -> QuerySet[Example]:
    """Those of the rows that the filter finds."""
    if where.state:
        rows = rows.filter(state=where.state)
    if where.origin:
        rows = rows.filter(origin=where.origin)
    if where.slice:
        rows = rows.none() if NOT_IN_TEXT.search(where.slice) else rows.filter(slices__contains=[where.slice])
    for number, word in enumerate(where.text.split()[:10]):
        if NOT_IN_TEXT.search(word):
            return rows.none()
        said = {f"{part}_{number}": Cast(part, TextField()) for part in ("variables", "messages", "expected")}
        found = Q(key__icontains=word)
        for name in said:
            found |= Q(**{f"{name}__icontains": word})
        rows = rows.alias(**said).filter(found)
    return rows


def examples_at(eval_set: EvalSet, revision: int, where: ExampleFilter = ExampleFilter()) -> QuerySet[Example]:
    """The examples that the revision holds, in the order of their keys. The newest revision is read by an index."""
    rows = Example.objects.filter(eval_set=eval_set, since__lte=revision).order_by("key")
    if revision >= eval_set.head:
        rows = rows.filter(until=None)
    else:
        rows = rows.filter(Q(until=None) | Q(until__gt=revision))
    return matching(rows, where)


@dataclass(frozen=True, slots=True)
class ExamplePage:
    """A part of a list, and the cursor of the next part; None at the end."""

    items: list[Example] = field(default_factory=list)
    next: str | None = None


def list_examples(
    eval_set: EvalSet,
    *,
    where: ExampleFilter = ExampleFilter(),
    revision: int | None = None,
    after: str = "",
    limit: int = PAGE_SIZE,
) -> ExamplePage:
    """A page in the order of the keys, after the key; without a revision, of the newest one."""
    rows = examples_at(eval_set, eval_set.head if revision is None else revision, where)
    if after:
        if NOT_IN_TEXT.search(after):
            return ExamplePage()
        rows = rows.filter(key__gt=after)
    found = list(rows[: limit + 1])
    items = found[:limit]
    return ExamplePage(items, items[-1].key if len(found) > limit else None)


class _Short(Func):
    """A JSON value, or the beginning of its text when it is long: a table shows a line of what may be megabytes."""

    template = (
        "CASE WHEN pg_column_size(%(expressions)s) < 16384 THEN %(expressions)s"
        " ELSE to_jsonb(left((%(expressions)s)::text, 600)) END"
    )


def newest_examples(
    eval_set: EvalSet, *, where: ExampleFilter = ExampleFilter(), before: int | None = None, limit: int = PAGE_SIZE
) -> ExamplePage:
    """A page of what the set holds now, what was changed last first. Rows come without their bodies and have
    `short_variables`, `short_messages` and `short_expected` in their place."""
    rows = matching(Example.objects.filter(eval_set=eval_set, until=None), where).order_by("-pk").defer(*BODY)
    if before is not None:
        rows = rows.filter(pk__lt=min(before, 2**63 - 1))
    short = {
        f"short_{name}": _Short(F(name), output_field=JSONField()) for name in ("variables", "messages", "expected")
    }
    found = list(rows.annotate(**short)[: limit + 1])
    items = found[:limit]
    return ExamplePage(items, str(items[-1].pk) if len(found) > limit else None)


def get_example(eval_set: EvalSet, key: str, revision: int | None = None) -> Example:
    """The example as it is now, or as it was at a revision. Raises NotFound."""
    found = None
    if not NOT_IN_TEXT.search(key):
        rows = examples_at(eval_set, eval_set.head if revision is None else revision)
        found = rows.filter(key=key).first()
    if found is None:
        raise NotFound(f"There is no example {shown(key)} in {eval_set.slug}.")
    return found


def history_of(eval_set: EvalSet, key: str, limit: int = HISTORY_SHOWN) -> list[Example]:
    """The example's rows, newest first; empty when the set never had the key."""
    if NOT_IN_TEXT.search(key):
        return []
    return list(Example.objects.filter(eval_set=eval_set, key=key).order_by("-since")[:limit])


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What a revision did to one example: `old` is None for an added one, `new` for a removed one."""

    key: str
    old: Example | None
    new: Example | None

    @property
    def what(self) -> str:
        """`added`, `changed` or `removed`."""
        return "added" if self.old is None else "removed" if self.new is None else "changed"


@dataclass(frozen=True, slots=True)
class ChangePage:
    """A part of what a revision changed, and the key after which the next part begins."""

    items: list[KeyChange] = field(default_factory=list)
    next: str | None = None


def changes_of(revision: Revision, *, after: str = "", limit: int = PAGE_SIZE) -> ChangePage:
    """What the revision changed, in the order of the keys."""
    touched = Q(since=revision.number) | Q(until=revision.number)
    rows = Example.objects.filter(touched, eval_set_id=revision.eval_set_id)
    if after:
        if NOT_IN_TEXT.search(after):
            return ChangePage()
        rows = rows.filter(key__gt=after)
    keys = list(rows.order_by("key").values_list("key", flat=True).distinct()[: limit + 1])
    shown_keys = keys[:limit]
    pairs: dict[str, dict[str, Example]] = {key: {} for key in shown_keys}
    for row in rows.filter(key__in=shown_keys):
        pairs[row.key]["new" if row.since == revision.number else "old"] = row
    items = [KeyChange(key, pair.get("old"), pair.get("new")) for key, pair in pairs.items()]
    return ChangePage(items, shown_keys[-1] if len(keys) > limit else None)


@dataclass(frozen=True, slots=True)
class Holding:
    """An example that was made of a trace: where it is."""

    set_slug: str
    set_name: str
    key: str
    state: str
    span_id: str


def made_of_trace(project: Project, trace_id: str) -> list[Holding]:
    """The examples of the project's sets that were made of the trace and are still there."""
    rows = Example.objects.filter(project=project, trace_id=trace_id, until=None).exclude(trace_id="")
    values = rows.order_by("eval_set__name", "key").values_list(
        "eval_set__slug", "eval_set__name", "key", "state", "span_id"
    )
    return [Holding(*one) for one in values[:20]]


def stream_examples(
    eval_set: EvalSet, revision: int, *, states: Sequence[str] = (), slices: Sequence[str] = ()
) -> Iterator[Example]:
    """The revision's examples in the order of their keys, without all of them being in memory at once."""
    rows = examples_at(eval_set, revision)
    if states:
        rows = rows.filter(state__in=states)
    if slices:
        rows = rows.filter(slices__overlap=list(slices))
    return rows.iterator(chunk_size=500)
