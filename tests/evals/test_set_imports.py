"""Importing examples over the API: the revision that is made, the rows that are not taken, and what is left behind."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from apps.core import clock
from apps.evals.models import EvalSet, Example, Revision, SetImport, SetImportPiece, StagedExample
from apps.evals.services import set_imports
from apps.evals.services.set_imports import Wish
from apps.projects.models import AuditEntry, Project
from tests import factories
from tests.evals import making

DATA = Path(__file__).parent / "data"
IMPORT = "/api/v1/eval-sets/golden/import"
EXPORT = "/api/v1/eval-sets/golden/export"
SETS = ("banking77", "bfcl", "gsm8k", "mtrag_un", "restaurant8k", "sroie", "truthfulqa")
ZIP = b"PK\x03\x04" + bytes(40)


@pytest.fixture
def sender(project: Project, golden: EvalSet) -> Client:
    """A client with a key that may do evals, which sends files as they are."""
    return Client(headers={"Authorization": f"Bearer {factories.make_key(project, 'evals')}"})


def send(client: Client, body: bytes | str, kind: str = "application/x-ndjson", **query: Any) -> Any:
    """Import the body; the answer as JSON, and its status under `status`."""
    asked = "&".join(f"{name}={quote(str(value))}" for name, value in query.items())
    answer = client.post(f"{IMPORT}?{asked}", body, content_type=kind)
    return {"status": answer.status_code, **answer.json()}


def lines(*rows: Any) -> str:
    """The rows as lines of JSON."""
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def nothing_is_left() -> bool:
    """True when neither bytes nor rows of an upload wait anywhere."""
    return not SetImportPiece.objects.exists() and not StagedExample.objects.exists()


def test_adds_changes_keeps_and_refuses_by_row(sender: Client, golden: EvalSet) -> None:
    """One revision of the good rows; each bad one is told of with its row, its column and what to do."""
    body = lines(
        {"key": "fr", "question": "Capital of France?", "expected": "Paris", "slices": ["europe"]},
        {"key": "jp", "question": "Capital of Japan, now?", "expected": "Tokyo", "slices": ["asia"]},
        {"key": "ar", "question": "Capital of Argentina?", "expected": "Buenos Aires"},
        {"key": "ar", "question": "Once more?", "expected": "twice"},
        {"key": "bad\nkey", "question": "?"},
        {"key": "none", "expected": "no input"},
        {"key": "nul", "question": "a\x00b"},
        ["no object"],
    )
    told = send(sender, body + '{"key": "inf", "question": 1e999}\n{"key": \n' + '{"a":' * 99_999, dry_run=True)
    assert (told["added"], told["changed"], told["unchanged"], told["revision"]) == (1, 1, 1, None)
    assert golden.revisions.count() == 1
    assert nothing_is_left()
    told = send(sender, body + '{"key": "inf", "question": 1e999}\n{"key": \n' + '{"a":' * 99_999, state="approved")
    assert (told["status"], told["rows"], told["rejected_rows"], told["revision"]) == (200, 11, 8, 2)
    assert [(one["row"], one["column"], one["code"]) for one in told["rejected"]] == [
        (4, "key", "duplicate_key"),
        (5, "key", "bad_key"),
        (6, "variables", "not_an_example"),
        (7, "question", "not_an_example"),
        (8, "", "not_an_object"),
        (9, "", "not_json"),
        (10, "", "not_json"),
        (11, "", "not_json"),
    ]
    assert all(len(one["message"]) > 15 for one in told["rejected"])
    golden.refresh_from_db()
    held = {row.key: row for row in Example.objects.filter(eval_set=golden, until=None)}
    assert (golden.head, sorted(held)) == (2, ["ar", "fr", "jp", "pe"])
    assert (held["fr"].since, held["jp"].since, held["jp"].state, held["jp"].origin) == (1, 2, "approved", "person")
    assert (held["ar"].variables, held["ar"].origin, held["ar"].author_name) == (
        {"question": "Capital of Argentina?"}, "import", "a key",
    )  # fmt: skip
    assert Example.objects.get(eval_set=golden, key="jp", since=1).until == 2
    assert Revision.objects.get(eval_set=golden, number=2).examples == 4
    assert AuditEntry.objects.filter(action="evals.set_revised").count() == 1
    assert nothing_is_left()


def test_makes_no_revision_of_what_is_there_already(sender: Client, golden: EvalSet) -> None:
    """The same file twice, also of rows without keys, which get the same ones again."""
    body = lines({"question": "a?"}, {"question": "b?"}, {"question": "a?", "expected": 1})
    assert send(sender, body)["added"] == 3
    again = send(sender, body)
    assert (again["added"], again["unchanged"], again["revision"]) == (0, 3, None)
    assert golden.revisions.count() == 2


def test_replaces_the_whole_set_unless_a_row_is_lost(sender: Client, golden: EvalSet) -> None:
    """What the file does not have goes; what it has and cannot be read stays as it is."""
    bad = {"key": "fr", "question": 1, "messages": "x", "context": [{}]}
    told = send(sender, lines(bad, {"key": "new", "question": "?"}), mode="replace")
    assert (told["added"], told["removed"], told["rejected_rows"]) == (1, 2, 1)
    held = Example.objects.filter(eval_set=golden, until=None).values_list("key", flat=True)
    assert sorted(held) == ["fr", "new"]
    refused = send(sender, lines({"key": "new", "question": "?"}) + "{broken\n", mode="replace")
    assert (refused["status"], refused["error"]["code"]) == (409, "cannot_replace_all")
    assert golden.revisions.count() == 2
    assert nothing_is_left()


@pytest.mark.parametrize("name", SETS)
def test_takes_real_sets_and_gives_them_back_exactly(sender: Client, golden: EvalSet, name: str) -> None:
    """Every row of a public set becomes an example; its export is an equal revision elsewhere."""
    with gzip.open(DATA / f"{name}.jsonl.gz") as file:
        body = file.read()
    told = send(sender, body, state="approved", mode="replace")
    assert (told["added"], told["rejected_rows"]) == (body.count(b"\n"), 0)
    expected = {"key", "expected"} | ({"messages"} if b'"messages"' in body else {"variable"})
    assert expected <= set(told["mapping"].values())
    golden.refresh_from_db()
    digest = Revision.objects.get(eval_set=golden, number=golden.head).content_hash
    for form in ("jsonl", "json"):
        copy = making.make_set(golden.project, f"copy-{form}")
        exported = b"".join(sender.get(f"{EXPORT}?format={form}").streaming_content)
        answer = sender.post(f"/api/v1/eval-sets/{copy.slug}/import", exported, content_type="application/json")
        assert (answer.json()["added"], answer.json()["rejected_rows"]) == (body.count(b"\n"), 0)
        assert Revision.objects.get(eval_set=copy).content_hash == digest


def test_exports_odd_values_exactly_and_csv_safely(sender: Client, golden: EvalSet) -> None:
    """Numbers, unusual texts and formulas: exact in JSON Lines, harmless and readable in CSV."""
    odd = [
        {"key": "n", "variables": {"a": 1.0, "b": 1e-7, "c": 2**100, "d": None}, "expected": False},
        {
            "key": "f",
            "variables": {"q": "=1+1", "r": "-5 \u2028 \U0001f600"},
            "expected": {"role": "x", "content": "y"},
        },
        {"key": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yes"}]},
    ]
    making.make_examples(golden, odd, removed=["fr", "jp", "pe"])
    exported = b"".join(sender.get(EXPORT).streaming_content)
    copy = making.make_set(golden.project, "copy")
    assert (
        sender.post("/api/v1/eval-sets/copy/import", exported, content_type="application/x-ndjson").status_code == 200
    )
    hashes = Revision.objects.filter(eval_set__in=[golden, copy]).order_by("-pk").values_list("content_hash", flat=True)
    assert hashes[0] == hashes[1]
    table = b"".join(sender.get(f"{EXPORT}?format=csv").streaming_content).decode()
    assert "'=1+1" in table
    assert not [line for line in table.splitlines() if line.startswith("=") or ",=" in line]
    back = making.make_set(golden.project, "from-csv")
    assert sender.post("/api/v1/eval-sets/from-csv/import", table, content_type="text/csv").json()["added"] == 3
    assert Example.objects.get(eval_set=back, key="f").variables == odd[1]["variables"]
    assert sender.get(f"{EXPORT}?revision=99").status_code == 404
    first = b"".join(sender.get(f"{EXPORT}?revision=1").streaming_content).decode()
    assert [json.loads(line)["key"] for line in first.splitlines()] == ["fr", "jp", "pe"]


def test_holds_rows_to_the_schemas_and_takes_a_mapping(sender: Client, golden: EvalSet) -> None:
    """A row that breaks the set's schema is told of; columns become what the caller says."""
    EvalSet.objects.filter(pk=golden.pk).update(expected_schema={"type": "string", "maxLength": 3})
    chosen = json.dumps({"col": "variable:question", "res": "expected", "no": "key"})
    table = 'no,col,res\n1,"a, ""b""\nc",yes\n2,d,longer\n'
    told = send(sender, table, "text/csv", mapping=chosen)
    assert (told["added"], [(one["row"], one["code"]) for one in told["rejected"]]) == (1, [(2, "breaks_schema")])
    assert Example.objects.get(eval_set=golden, key="1").variables == {"question": 'a, "b"\nc'}
    assert send(sender, table, "text/csv", mapping="{}")["error"]["code"] == "unreadable_file"
    assert send(sender, table, "text/csv", mapping="[")["status"] == 422


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n", "empty"),
        (ZIP, "zip"),
        (bytes(range(256)) * 20, "not a text"),
        (b"key,question\n", "no row"),
        (b'{"a": 1,\n "b": 2}', "no array"),
        (b'{"a": 1}\n' * 3, None),
        (b'[{"question": "?"}, {"question": "!"}', None),
    ],
)
def test_says_what_is_wrong_with_a_file(sender: Client, golden: EvalSet, body: bytes, words: str | None) -> None:
    """A file that cannot be read leaves the set and the tables as they were; one that can, to some part, is taken."""
    told = send(sender, body, "application/octet-stream")
    if words is None:
        assert (told["status"], told["added"] > 0) == (200, True)
    else:
        assert (told["status"], told["error"]["code"]) == (422, "unreadable_file")
        assert words in told["error"]["message"]
        assert golden.revisions.count() == 1
        assert not SetImport.objects.exists()
    assert nothing_is_left()


def test_is_for_editors_and_their_own_sets(sender: Client, golden: EvalSet, other_project: Project) -> None:
    """No key, a key for something else, somebody else's set, too large a body, an archived set."""
    making.make_set(other_project, "theirs")
    assert sender.post("/api/v1/eval-sets/theirs/import", "x", content_type="text/csv").status_code == 404
    reader = Client(headers={"Authorization": f"Bearer {factories.make_key(golden.project, 'read')}"})
    assert reader.post(IMPORT, "x", content_type="text/csv").status_code == 403
    assert Client().post(IMPORT, "x", content_type="text/csv").status_code == 401
    huge = sender.generic("POST", IMPORT, b"{}", content_type="application/json", CONTENT_LENGTH=str(60 * 1024 * 1024))
    assert huge.status_code == 413
    sent = sender.post(IMPORT, {"file": SimpleUploadedFile("rows.csv", b"question\na\n")})
    assert (sent.status_code, sent.json()["format"], sent.json()["added"]) == (200, "csv", 1)
    EvalSet.objects.filter(pk=golden.pk).update(archived_at=clock.now())
    assert send(sender, lines({"question": "?"}))["error"]["code"] == "set_archived"


# --- Pages and what happens between them ----------------------------------------------------------------------------


def test_goes_from_file_to_revision_on_pages(alice_client: Client, project: Project, golden: EvalSet) -> None:
    """Upload, change what a column means, look at what would change, confirm; a second confirmation does nothing."""
    start = f"/p/{project.slug}/eval-sets/golden/import"
    rows = b"ask,result,key\nCapital of France?,Paris,fr2\nCapital of Kenya?,Nairobi,ke\n,x,none\n"
    upload = {"upload": SimpleUploadedFile("rows.csv", rows), "state": "draft", "mode": "update", "encoding": "auto"}
    job = alice_client.post(start, upload)["Location"]
    page = alice_client.get(job).content.decode()
    assert "Capital of Kenya?" in page
    columns = {"target_0": "variable", "name_0": "question", "target_1": "skip", "target_2": "key", "state": "approved"}
    wrong = alice_client.post(job, {**columns, "target_1": "key", "mode": "update"})
    assert (wrong.status_code, b"Only one column can become key" in wrong.content) == (422, True)
    assert alice_client.post(job, {**columns, "target_1": "expected", "mode": "update"})["Location"] == job
    page = alice_client.get(job).content.decode()
    assert "Rows that are not taken" in page
    assert "fr2" in page
    assert "The same words" in page  # fr asks this already
    assert golden.revisions.count() == 1
    for _ in range(2):
        alice_client.post(job, {"note": "from the desk"})
    assert Revision.objects.get(eval_set=golden, number=2).note == "from the desk"
    assert golden.revisions.count() == 2
    kenya = Example.objects.get(eval_set=golden, key="ke")
    assert (kenya.variables, kenya.expected, kenya.state) == ({"question": "Capital of Kenya?"}, "Nairobi", "approved")
    assert "Revision 2" in alice_client.get(job).content.decode()
    assert nothing_is_left()
    assert alice_client.post(start, {**upload, "upload": SimpleUploadedFile("a.zip", ZIP)}).status_code == 422


def test_takes_up_what_a_process_left_behind(golden: EvalSet) -> None:
    """A reading that was cut off is read again, an upload that was cut off says so, an old one expires."""
    now = clock.now()
    actor = factories.actor_of(factories.make_user())

    def receive() -> SetImport:
        return set_imports.receive(
            eval_set=golden, filename="rows.jsonl", pieces=[b'{"question": "?"}\n'] * 3, wish=Wish(), author=None,
            actor=actor, now=now,
        )  # fmt: skip

    reading, uploading, waiting = receive(), receive(), receive()
    SetImport.objects.filter(pk=reading.pk).update(state="reading", lease_until=now)
    SetImport.objects.filter(pk=uploading.pk).update(state="uploading", lease_until=now + timedelta(minutes=10))
    set_imports.read(reading.pk, now=now)
    set_imports.read(reading.pk, now=now)
    reading.refresh_from_db()
    assert (reading.state, reading.rows, reading.counts["added"]) == ("ready", 3, 3)
    later = now + timedelta(hours=1)
    set_imports.resume(now=later)
    uploading.refresh_from_db()
    assert (uploading.state, "send the file again" in uploading.sentence) == ("failed", True)
    set_imports.forget(now=now + timedelta(days=2))
    waiting.refresh_from_db()
    assert waiting.state == "expired"
    assert nothing_is_left()
    with pytest.raises(set_imports.NotReady):
        set_imports.publish_staged(upload=reading, actor=actor, now=later)
    assert golden.revisions.count() == 1


def test_leaves_the_set_alone_when_a_reader_lost_its_lease(golden: EvalSet) -> None:
    """A reader that sleeps past its lease writes nothing over what another one read."""
    now = clock.now()
    actor = factories.actor_of(factories.make_user())
    upload = set_imports.receive(
        eval_set=golden, filename="rows.jsonl", pieces=[b'{"question": "?"}\n'], wish=Wish(), author=None, actor=actor,
        now=now,
    )  # fmt: skip
    SetImport.objects.filter(pk=upload.pk).update(state="reading", lease_until=now, lease_token=uuid4())
    upload.refresh_from_db()
    sleeper = set_imports._Reader(upload)
    set_imports.read(upload.pk, now=now)
    with pytest.raises(set_imports.LeaseLost):
        sleeper._write([])
    upload.refresh_from_db()
    assert (upload.state, upload.staged.count()) == ("ready", 1)
