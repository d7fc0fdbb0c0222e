"""Eval sets over the JSON API: the rows left behind, who is let in, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apps.evals.models import EvalSet, Example, Revision
from apps.projects.models import Project
from tests.conftest import Api
from tests.evals import making

SETS = "/api/v1/eval-sets"
GOLDEN = f"{SETS}/golden"
EXAMPLES = f"{GOLDEN}/examples"


def test_a_set_and_its_examples(evals_api: Api, project: Project) -> None:
    """From nothing to a set with examples, changed, reviewed, taken out, and read back at each revision."""
    made = evals_api.post(SETS, {"name": "Golden", "feature": "support", "minimum_examples": 20})
    assert made.status_code == 201
    assert (made.json()["set"]["slug"], made.json()["revision"]) == ("golden", None)
    one = evals_api.post(EXAMPLES, {"key": "train/1", "variables": {"q": "2+2?"}, "expected": 4, "slices": ["sums"]})
    assert (one.status_code, one.json()["keys"], one.json()["revision"]["number"]) == (201, ["train/1"], 1)
    many = evals_api.post(EXAMPLES, {"examples": [{"variables": {"q": str(n)}} for n in range(3)], "note": "more"})
    assert (len(set(many.json()["keys"])), many.json()["revision"]["examples"]) == (3, 4)
    read = evals_api.get(f"{EXAMPLES}/train/1")
    assert (read.json()["expected"], read.json()["state"], read.json()["origin"], read.json()["by"]) == (
        4,
        "draft",
        "api",
        "a key",
    )
    patched = evals_api.patch(f"{EXAMPLES}/train/1", {"expected": "4", "state": "approved", "base": 1})
    assert (patched.json()["expected"], patched.json()["variables"], patched.json()["since"]) == ("4", {"q": "2+2?"}, 3)
    assert evals_api.patch(f"{EXAMPLES}/train/1", {"expected": "5", "base": 1}).status_code == 409
    reviewed = evals_api.post(f"{EXAMPLES}/review", {"state": "approved", "filter": {"state": "draft"}})
    assert (reviewed.json()["changed"], reviewed.json()["approved"]) == (3, 4)
    assert evals_api.delete(f"{EXAMPLES}/train/1").status_code == 204
    assert evals_api.get(f"{EXAMPLES}/train/1").status_code == 404
    listed = evals_api.get(EXAMPLES, {"revision": 2, "slice": "sums"}).json()
    assert [(row["key"], row["expected"]) for row in listed["items"]] == [("train/1", 4)]
    numbers = [row["number"] for row in evals_api.get(f"{GOLDEN}/revisions").json()["items"]]
    assert numbers == [5, 4, 3, 2, 1]
    third = evals_api.get(f"{GOLDEN}/revisions/3").json()
    (told,) = third["items"]
    assert (told["what"], told["old"]["expected"], told["new"]["expected"]) == ("changed", 4, "4")
    assert evals_api.get(SETS).json()["items"][0]["examples"] == 3


def test_pages_and_tags(evals_api: Api, golden: EvalSet) -> None:
    """Lists go on from a cursor without losing or repeating a row, and what did not change is not sent again."""
    making.make_examples(golden, [{"variables": {"q": f"question {n}"}} for n in range(7)])
    keys: list[str] = []
    cursor = ""
    while cursor is not None:
        page = evals_api.get(EXAMPLES, {"limit": 4, "cursor": cursor}).json()
        keys += [row["key"] for row in page["items"]]
        cursor = page["next"]
    assert len(keys) == len(set(keys)) == 10
    assert keys == sorted(keys)
    first = evals_api.get(EXAMPLES)
    assert evals_api.get(EXAMPLES, headers={"If-None-Match": first["ETag"]}).status_code == 304
    assert {row["key"] for row in evals_api.get(EXAMPLES, {"q": "tokyo japan"}).json()["items"]} == {"jp"}
    with CaptureQueriesContext(connection) as asked:
        evals_api.get(EXAMPLES)
    assert len(asked) <= 12


def test_archived_sets_stay_as_they_are(evals_api: Api, golden: EvalSet) -> None:
    """An archived set is off the list and takes no example; it comes back."""
    assert evals_api.delete(GOLDEN).status_code == 204
    assert evals_api.get(SETS).json()["items"] == []
    refused = evals_api.post(EXAMPLES, {"variables": {"q": "?"}})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "set_archived")
    assert evals_api.patch(GOLDEN, {"archived": False}).json()["set"]["archived_at"] is None
    assert evals_api.post(EXAMPLES, {"variables": {"q": "?"}}).status_code == 201


BAD: list[tuple[str, str, str, Any, int, str]] = [
    ("no name", "post", SETS, {"slug": "x"}, 422, "name"),
    ("a slug twice", "post", SETS, {"name": "Golden"}, 422, "slug"),
    ("a field nobody knows", "post", SETS, {"name": "A", "minimum": 3}, 422, "minimum"),
    ("a name with a NUL", "post", SETS, {"name": "A\0"}, 422, "name"),
    ("a schema that is none", "patch", GOLDEN, {"input_schema": {"type": 3}}, 422, "input_schema"),
    ("a slug to change", "patch", GOLDEN, {"slug": "other"}, 422, "slug"),
    ("an example of nothing", "post", EXAMPLES, {}, 422, "variables"),
    ("a field nobody knows", "post", EXAMPLES, {"variables": {"q": "a"}, "origin": "person"}, 422, "origin"),
    ("a state nobody knows", "post", EXAMPLES, {"variables": {"q": "a"}, "state": "done"}, 422, "state"),
    ("half a pair", "post", EXAMPLES, '{"variables": {"q": "\\ud800"}}', 422, "variables.q"),
    ("a NUL in a name", "post", EXAMPLES, {"variables": {"a\0b": 1}}, 422, "variables.a\ufffdb"),
    ("a NUL in a key", "post", EXAMPLES, {"key": "a\0", "variables": {"q": "a"}}, 422, "key"),
    ("the second of two", "post", EXAMPLES, {"examples": [{"variables": {"q": 1}}, 5]}, 422, "examples.1.example"),
    ("a list of none", "post", EXAMPLES, {"examples": []}, 422, "examples"),
    ("a number that is none", "post", EXAMPLES, '{"variables": {"q": NaN}}', 400, ""),
    ("a number beyond all", "post", EXAMPLES, '{"variables": {"q": 1e999}}', 422, "variables.q"),
    ("too deep to keep", "post", EXAMPLES, '{"variables": {"q": ' + "[" * 80 + "]" * 80 + "}}", 422, ""),
    ("too deep to read", "post", EXAMPLES, "[" * 200_000, 400, ""),
    ("a key that is there", "post", EXAMPLES, {"key": "fr", "variables": {"q": 1}}, 409, "key"),
    ("keys and a filter", "post", f"{EXAMPLES}/review", {"state": "approved", "keys": [], "filter": {}}, 422, "keys"),
    ("an unknown filter", "post", f"{EXAMPLES}/review", {"state": "approved", "filter": {"x": 1}}, 422, "filter"),
    ("nobody's key", "post", f"{EXAMPLES}/review", {"state": "approved", "keys": ["nobody"]}, 404, "keys"),
    ("a revision to come", "get", f"{EXAMPLES}?revision=9", None, 404, ""),
    ("a NUL in a search", "get", f"{EXAMPLES}?q=%00", None, 422, "q"),
    ("a NUL in an address", "get", f"{EXAMPLES}/%00", None, 404, ""),
]


def test_what_is_refused(evals_api: Api, golden: EvalSet) -> None:
    """Each is refused in words, with the field, and leaves nothing."""
    for name, method, address, body, status, place in BAD:
        answer = getattr(evals_api, method)(address, *(() if body is None else (body,)))
        assert answer.status_code == status, (name, answer.content[:300])
        details = answer.json()["error"]["details"]
        assert not place or place in details, (name, details)
    assert EvalSet.objects.count() == 1
    assert (Example.objects.count(), Revision.objects.count()) == (3, 1)


def test_who_is_let_in(
    golden: EvalSet, bob_api: Api, charlie_api: Api, read_key: str, other_key: str, evals_api: Api
) -> None:
    """A viewer reads and writes nothing; a key needs the scope; a stranger finds nothing."""
    assert bob_api.get(f"{EXAMPLES}/fr").json()["expected"] == "Paris"
    assert bob_api.post(EXAMPLES, {"variables": {"q": 1}}).status_code == 403
    assert bob_api.post(f"{EXAMPLES}/review", {"state": "rejected", "filter": {}}).status_code == 403
    assert Api(read_key).get(GOLDEN).status_code == 403
    for stranger in (charlie_api, Api(other_key)):
        for address in (GOLDEN, EXAMPLES, f"{EXAMPLES}/fr", f"{GOLDEN}/revisions", f"{GOLDEN}/revisions/1"):
            assert stranger.get(address).status_code == 404
        assert stranger.patch(f"{EXAMPLES}/fr", {"expected": "Rome"}).status_code == 404
        assert stranger.delete(GOLDEN).status_code == 404
    assert EvalSet.objects.get().archived_at is None


@pytest.mark.parametrize(("megabytes", "status"), [(5, 201), (9, 422)])
def test_large_examples(evals_api: Api, golden: EvalSet, megabytes: int, status: int) -> None:
    """An example of 5 MB is kept as it came; one of more than 8 MB is refused with its limit."""
    text = "word " * (megabytes * 1024 * 1024 // 5)
    answer = evals_api.post(EXAMPLES, json.dumps({"key": "big", "variables": {"document": text}, "expected": "short"}))
    assert answer.status_code == status
    if status == 201:
        assert evals_api.get(f"{EXAMPLES}/big").json()["variables"]["document"] == text
        assert evals_api.patch(f"{EXAMPLES}/big", {"state": "approved"}).json()["since"] == 3
    else:
        assert "8 MiB" in str(answer.json()["error"]["details"])


def test_sending_again_with_replace(evals_api: Api, golden: EvalSet) -> None:
    """With `replace`, what is there as sent makes no revision, and what differs takes its place."""
    sent = [{**one, "state": "approved"} for one in making.CAPITALS]
    same = evals_api.post(EXAMPLES, {"examples": sent, "replace": True})
    assert same.json()["revision"]["number"] == 1
    sent[0] = {**sent[0], "expected": "Paris, of course"}
    again = evals_api.post(EXAMPLES, {"examples": sent, "replace": True}).json()["revision"]
    assert (again["number"], again["added"], again["changed"]) == (2, 0, 1)
