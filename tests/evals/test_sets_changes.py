"""The writer of examples: one revision a change, nothing lost between writers, rows that never change."""

from __future__ import annotations

import hashlib
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.evals.examples import body_from_dict
from apps.evals.models import EvalSet, Example, Revision
from apps.evals.selectors.examples import ExampleFilter, changes_of, get_example, list_examples
from apps.evals.services.set_changes import Add, Changes, Replace, StateChange
from apps.evals.services.sets import SetChange, change_examples, change_set, create_set
from apps.evals.types import ReviewState
from apps.projects.models import AuditEntry, Project
from tests import factories
from tests.evals import making

ALICE = factories.Actor(kind="user", id=None, name="alice@example.com")
BOB = factories.Actor(kind="user", id=None, name="bob@example.com")
LATER = factories.NOW + timedelta(days=1)


def body(question: str, expected: Any = None, **others: Any) -> Any:
    """A body with one variable."""
    return body_from_dict({"variables": {"question": question}, "expected": expected, **others})


def change(eval_set: EvalSet, *, actor: Any = ALICE, now: Any = LATER, **changes: Any) -> Revision:
    """One call of the writer."""
    return change_examples(eval_set=eval_set, changes=Changes(**changes), actor=actor, note="because", now=now)


def held(eval_set: EvalSet, revision: int | None = None) -> dict[str, tuple[Any, str]]:
    """Key, expected output and state of what the set holds."""
    eval_set.refresh_from_db()
    return {one.key: (one.expected, one.state) for one in list_examples(eval_set, revision=revision, limit=200).items}


def test_one_revision_a_change(golden: EvalSet) -> None:
    """Adding, replacing, removing and approving at once make one revision that says what was done, and the revision
    before still holds what it held."""
    revision = change(
        golden,
        adds=(Add(body("Capital of Kenya?", "Nairobi"), key="ke"),),
        replaces=(Replace("fr", body=body("Capital of France?", "Paris.")), Replace("jp", state=ReviewState.REJECTED)),
        removes=("pe",),
    )
    assert (revision.number, revision.added, revision.changed, revision.removed) == (2, 1, 2, 1)
    assert (revision.examples, revision.approved, revision.note) == (3, 1, "because")
    assert held(golden) == {"fr": ("Paris.", "approved"), "jp": ("Tokyo", "rejected"), "ke": ("Nairobi", "draft")}
    assert held(golden, 1) == {
        key: (said, "approved") for key, said in [("fr", "Paris"), ("jp", "Tokyo"), ("pe", "Lima")]
    }
    told = [(one.key, one.what) for one in changes_of(revision).items]
    assert told == [("fr", "changed"), ("jp", "changed"), ("ke", "added"), ("pe", "removed")]
    lines = sorted(golden.examples.filter(until=None).values_list("key", "state", "content_hash"))
    expected = hashlib.sha256("\n".join(" ".join(reversed(line)) for line in lines).encode()).hexdigest()
    assert revision.content_hash == expected
    entry = AuditEntry.objects.get(action="evals.set_revised")
    assert entry.details == {"revision": 2, "added": 1, "changed": 2, "removed": 1}


def test_nothing_different_makes_no_revision(golden: EvalSet) -> None:
    """What says the same again changes nothing; what goes back to an old content has the old revision's hash."""
    same = change(golden, replaces=(Replace("fr", body=body("Capital of France?", "Paris", slices=["europe"])),))
    assert same.number == 1
    change(golden, states=(StateChange(ReviewState.REJECTED, keys=("fr",)),))
    back = change(golden, states=(StateChange(ReviewState.APPROVED),))
    first = Revision.objects.get(eval_set=golden, number=1)
    assert (back.number, back.changed, back.content_hash) == (3, 1, first.content_hash)


def test_a_key_that_comes_back_keeps_its_age(golden: EvalSet) -> None:
    """A removed example that is added again first appeared when it first appeared."""
    change(golden, removes=("fr",))
    change(golden, adds=(Add(body("Capital of France?", "Paris"), key="fr"),))
    row = get_example(EvalSet.objects.get(pk=golden.pk), "fr")
    assert (row.first_made_at, row.made_at, row.since) == (factories.NOW, LATER, 3)


REFUSED: list[tuple[str, dict[str, Any], str, str]] = [
    ("a key twice", {"adds": (Add(body("a"), key="a"), Add(body("b"), key="a"))}, "invalid", "adds.1.key"),
    ("a key that is there", {"adds": (Add(body("a"), key="fr"),)}, "key_taken", "key"),
    ("a key with a NUL", {"adds": (Add(body("a"), key="a\0b"),)}, "invalid", "adds.0.key"),
    ("a key nobody has", {"replaces": (Replace("nobody", body=body("a")),)}, "not_found", "keys"),
    ("an unknown key to approve", {"states": (StateChange(ReviewState.DRAFT, keys=("x\0",)),)}, "not_found", "keys"),
    ("an old base", {"replaces": (Replace("fr", body=body("a"), base=7),)}, "moved_on", "revision"),
    ("against the schema", {"adds": (Add(body_from_dict({"variables": {"q": 1}})),)}, "invalid", "adds.0.variables"),
    ("a wrong type", {"replaces": (Replace("fr", body=body("ok", 5)),)}, "invalid", "replaces.0.expected"),
]


def test_what_is_refused_leaves_nothing(golden: EvalSet) -> None:
    """Each is refused with the field, and neither a row nor a revision is left of the call."""
    change_set(
        eval_set=golden,
        change=SetChange(
            input_schema={"type": "object", "required": ["question"]}, expected_schema={"type": ["string", "null"]}
        ),
        actor=ALICE,
        now=LATER,
    )
    for name, changes, code, place in REFUSED:
        good = (Add(body("fine", "yes"), key="fine"), *changes.pop("adds", ()))
        with pytest.raises(DomainError) as refused:
            change(golden, adds=good[1:] if code == "invalid" else good, **changes)
        assert refused.value.code == code, name
        assert place in refused.value.details, (name, refused.value.details)
    assert set(held(golden)) == {"fr", "jp", "pe"}
    assert Revision.objects.filter(eval_set=golden).count() == 1


def test_rows_do_not_change(golden: EvalSet) -> None:
    """The database refuses to rewrite or remove an example or a revision."""
    attempts = [
        "UPDATE evals_example SET expected = '\"London\"' WHERE key = 'fr'",
        "UPDATE evals_example SET until = 2, state = 'draft' WHERE key = 'fr'",
        "DELETE FROM evals_example WHERE key = 'fr'",
        "UPDATE evals_revision SET examples = 100",
        "DELETE FROM evals_revision",
    ]
    for statement in attempts:
        with pytest.raises(DatabaseError, match="refused"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_lowering_the_minimum_is_audited(project: Project) -> None:
    """Whoever asks for fewer than 100 examples is written down, with the numbers."""
    made = create_set(project=project, name="Golden answers", actor=ALICE, now=LATER)
    assert (made.slug, made.minimum_examples) == ("golden-answers", 100)
    change_set(eval_set=made, change=SetChange(minimum_examples=30), actor=BOB, now=LATER)
    entry = AuditEntry.objects.get(action="evals.set_minimum_lowered")
    assert (entry.actor_name, entry.details["from"], entry.details["to"]) == (BOB.name, 100, 30)


SCHEMAS: list[tuple[Any, str]] = [
    ([], "object"),
    ({"type": "strange"}, "not a JSON Schema"),
    ({"$ref": "http://127.0.0.1:1/schema"}, "$ref"),
    ({"description": "\0"}, "stored"),
]


@pytest.mark.parametrize(("schema", "words"), SCHEMAS)
def test_bad_schemas(golden: EvalSet, schema: Any, words: str) -> None:
    """A schema that cannot be used, or would have to be fetched, is refused with the reason."""
    with pytest.raises(DomainError) as refused:
        change_set(eval_set=golden, change=SetChange(input_schema=schema), actor=ALICE, now=LATER)
    assert words in refused.value.details["input_schema"][0]


def test_a_pattern_has_limited_time(golden: EvalSet) -> None:
    """A pattern that would run for ever is told of instead."""
    schema = {"properties": {"question": {"pattern": "^(a+)+$"}}}
    change_set(eval_set=golden, change=SetChange(input_schema=schema), actor=ALICE, now=LATER)
    with pytest.raises(DomainError) as refused:
        change(golden, adds=(Add(body("a" * 60 + "!")),))
    assert "adds.0.variables.question" in refused.value.details


def test_many_at_once(project: Project) -> None:
    """Thousands of examples are added and approved in few statements, whatever their number."""
    made = create_set(project=project, name="Many", actor=ALICE, now=LATER)
    adds = tuple(
        Add(body(f"question {number}", slices=["even" if number % 2 == 0 else "odd"])) for number in range(2_000)
    )
    with CaptureQueriesContext(connection) as asked:
        change(made, adds=adds)
        revision = change(made, states=(StateChange(ReviewState.APPROVED, where=ExampleFilter(slice="even")),))
    assert (revision.changed, revision.examples, revision.approved) == (1_000, 2_000, 1_000)
    assert len(asked) < 50
    assert Example.objects.filter(eval_set=made).count() == 3_000


@pytest.mark.django_db(transaction=True)
def test_two_writers(project: Project, alice: User) -> None:
    """Writers at the same time make a revision each and lose nothing; of two edits of one row, one is told."""
    golden = making.make_set(project, examples=making.CAPITALS)
    start = threading.Barrier(4)
    told: list[str] = []

    def write(number: int) -> None:
        edit = Replace("fr", body=body("Capital of France?", f"Paris {number}"), base=1)
        start.wait(10)
        try:
            change(golden, adds=(Add(body(f"question {number}"), key=f"key-{number}"),))
            change(golden, replaces=(edit,))
            told.append("done")
        except DomainError as error:
            told.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(told) == ["done", "moved_on", "moved_on", "moved_on"]
    assert set(held(golden)) == {"fr", "jp", "pe", "key-0", "key-1", "key-2", "key-3"}
    numbers = list(Revision.objects.filter(eval_set=golden).order_by("number").values_list("number", "examples"))
    assert [number for number, _ in numbers] == [1, 2, 3, 4, 5, 6]
    assert numbers[-1][1] == 7
