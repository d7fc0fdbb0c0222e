"""Pages of eval sets: every one is drawn in few queries, writes what it says, and keeps out who may not."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from apps.evals.models import EvalSet, Example
from apps.projects.models import Project
from tests.evals import making

PAGES = "/p/support-desk/eval-sets"
GOLDEN = f"{PAGES}/golden"


def typed(**changes: Any) -> dict[str, Any]:
    """What the form of an example sends."""
    return {
        "variables": '{"question": "Capital of Chile?"}',
        "expected": "Santiago",
        "expected_as": "text",
        "slices": "america, south",
        "state": "draft",
        **changes,
    }


def test_every_page_is_drawn(golden: EvalSet, alice_client: Client, bob_client: Client) -> None:
    """The pages say what is there, in at most 12 queries besides the frame's; a viewer finds no way to change it."""
    making.make_examples(
        golden, [{"key": "a/b", "messages": [{"role": "user", "content": "<b>Hi</b>"}]}], removed=["pe"]
    )
    found = {
        PAGES: "Golden",
        f"{PAGES}/-/new": "What its examples must meet",
        GOLDEN: "Capital of Japan?",
        f"{GOLDEN}?q=tokyo&state=approved": "Tokyo",
        f"{GOLDEN}/revisions": "r2",
        f"{GOLDEN}/revisions/2": "removed",
        f"{GOLDEN}/settings": "Archive this set",
        f"{GOLDEN}/new": "New example",
        f"{GOLDEN}/edit/fr": "Capital of France?",
        f"{GOLDEN}/examples/fr": "Paris",
        f"{GOLDEN}/examples/a/b": "&lt;b&gt;Hi&lt;/b&gt;",
        f"{GOLDEN}/examples/pe": "removed",
    }
    for address, words in found.items():
        with CaptureQueriesContext(connection) as asked:
            page = alice_client.get(address)
        assert page.status_code == 200, address
        assert words in page.content.decode(), address
        assert len(asked) <= 12, (address, len(asked))
    for address in (PAGES, GOLDEN, f"{GOLDEN}/examples/fr"):
        page = bob_client.get(address)
        assert page.status_code == 200
        assert "Approve</button>" not in page.content.decode()
    for address in (f"{GOLDEN}/new", f"{GOLDEN}/settings", f"{GOLDEN}/edit/fr", f"{PAGES}/-/add?trace=00"):
        assert bob_client.get(address).status_code == 403
    assert bob_client.post(f"{GOLDEN}/remove/fr").status_code == 403


def test_strangers_find_nothing(golden: EvalSet, charlie_client: Client, alice_client: Client) -> None:
    """Another tenant gets the 404 of a set that does not exist."""
    for address in (PAGES, GOLDEN, f"{GOLDEN}/examples/fr", f"{GOLDEN}/revisions/1"):
        assert charlie_client.get(address).status_code == 404
    for address in (f"{PAGES}/other", f"{GOLDEN}/examples/nobody", f"{GOLDEN}/examples/%00", f"{GOLDEN}/revisions/9"):
        assert alice_client.get(address).status_code == 404


def test_write_edit_and_remove(project: Project, alice_client: Client) -> None:
    """From an empty page to a set, an example by hand, an edit that is shown as a difference, and its removal."""
    assert "Make the first eval set" in alice_client.get(PAGES).content.decode()
    made = alice_client.post(
        f"{PAGES}/-/new",
        {
            "name": "Golden",
            "minimum_examples": 100,
            "minimum_per_slice": 10,
            "fresh_days": 180,
            "expected_schema": '{"type": "string"}',
        },
    )
    assert (made.status_code, made["Location"]) == (302, GOLDEN)
    assert "Nothing in it yet" in alice_client.get(GOLDEN).content.decode()
    alice_client.post(f"{GOLDEN}/new", typed(key="cl"))
    row = Example.objects.get()
    assert (row.key, row.expected, row.slices, row.author_name) == (
        "cl",
        "Santiago",
        ["america", "south"],
        "alice@example.com",
    )
    refused = alice_client.post(f"{GOLDEN}/edit/cl", typed(expected="7", expected_as="json", base=1))
    assert refused.status_code == 422
    assert "is not of type" in refused.content.decode()
    assert "not JSON" in alice_client.post(f"{GOLDEN}/new", typed(variables="{")).content.decode()
    alice_client.post(f"{GOLDEN}/edit/cl", typed(expected="Santiago de Chile", state="approved", base=1))
    late = alice_client.post(f"{GOLDEN}/edit/cl", typed(expected="Lima", base=1))
    assert "changed the example cl in revision 2" in late.content.decode()
    page = alice_client.get(f"{GOLDEN}/examples/cl").content.decode()
    assert "from draft to approved, by alice@example.com" in page
    assert "de Chile" in page
    alice_client.post(f"{GOLDEN}/remove/cl")
    assert not Example.objects.filter(until=None).exists()


def test_bulk_review(golden: EvalSet, alice_client: Client) -> None:
    """What is ticked changes, or with the word for it all that the filter finds; nothing else does."""
    alice_client.post(f"{GOLDEN}/review", {"state": "rejected", "key": ["fr", "jp"]})
    alice_client.post(f"{GOLDEN}/review?state=rejected&slice=asia", {"state": "draft", "everything": "on"})
    states = dict(Example.objects.filter(until=None).values_list("key", "state"))
    assert states == {"fr": "rejected", "jp": "draft", "pe": "approved"}
    said = alice_client.post(f"{GOLDEN}/review", {"state": "draft"}, follow=True).content.decode()
    assert "Tick the examples" in said


def test_settings(golden: EvalSet, alice_client: Client) -> None:
    """Settings change, a schema is taken away by emptying its field, and archiving is undone."""
    sent = {"name": "Better", "minimum_examples": 50, "minimum_per_slice": 5, "fresh_days": 30}
    alice_client.post(f"{GOLDEN}/settings", {**sent, "do": "change", "input_schema": '{"type": "object"}'})
    golden.refresh_from_db()
    assert (golden.name, golden.minimum_examples, golden.input_schema) == ("Better", 50, {"type": "object"})
    alice_client.post(f"{GOLDEN}/settings", {**sent, "do": "change", "input_schema": ""})
    alice_client.post(f"{GOLDEN}/settings", {"do": "archive"})
    golden.refresh_from_db()
    assert golden.input_schema is None
    assert golden.archived_at is not None
    assert "archived" in alice_client.get(GOLDEN).content.decode()
    alice_client.post(f"{GOLDEN}/settings", {"do": "restore"})
    golden.refresh_from_db()
    assert golden.archived_at is None


@pytest.mark.parametrize("megabytes", [5])
def test_a_long_example_on_pages(golden: EvalSet, alice_client: Client, megabytes: int) -> None:
    """A table with a 5 MB example in it stays short, and its page shows the beginning."""
    text = " ".join(f"word{number}" for number in range(megabytes * 110_000))
    making.make_examples(golden, [{"key": "big", "variables": {"document": text}}])
    assert len(alice_client.get(GOLDEN).content) < 200_000
    assert len(alice_client.get(f"{GOLDEN}/examples/big").content) < 400_000
