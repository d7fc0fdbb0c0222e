"""What changed, as lines: both shapes, any two versions, and drafts."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.prompts import diff_lines
from apps.prompts.content import text_content
from apps.prompts.diff_lines import Shown
from apps.prompts.models import Prompt
from tests.prompts.conftest import content, publish

URL = "/p/support-desk/prompts/support/answer/-/diff"


def lines(old: str, new: str) -> list[str]:
    """The difference of two texts with signs, what differs within a line in brackets."""
    (message,) = diff_lines.shown(text_content(old), text_content(new)).messages
    told = []
    for hunk in message.hunks:
        if hunk.skipped:
            told.append(f"… {hunk.skipped}")
        for line in hunk.lines:
            text = "".join(f"[{one.text}]" if one.is_marked else one.text for one in line.segments)
            told.append(f"{line.sign}{line.old or ''}|{line.new or ''} {text}")
    return told


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("a b c", "a x c", ["-1| a [b] c", "+|1 a [x] c"]),
        ("one\ntwo\nthree", "one\nthree", [" 1|1 one", "-2| [two]", " 3|2 three"]),
        ("one\nthree", "one\ntwo\nthree", [" 1|1 one", "+|2 [two]", " 2|3 three"]),
        ("one", "one\n", [" 1|1 one", "+|2 "]),
        ("", "new", ["+|1 new"]),
        ("gone\nall", "", ["-1| gone", "-2| all"]),
    ],
)
def test_puts_changes_into_lines(old: str, new: str, expected: list[str]) -> None:
    assert lines(old, new) == expected


def test_leaves_out_what_is_far_from_a_change() -> None:
    old = "\n".join(f"line {number}" for number in range(1, 21))
    told = lines(old, old.replace("line 10", "line ten"))
    assert told[0] == "… 6"
    assert told[1:4] == [" 7|7 line 7", " 8|8 line 8", " 9|9 line 9"]
    assert told[4:6] == ["-10| line [10]", "+|10 line [ten]"]
    assert told[-1] == " 13|13 line 13"


@pytest.mark.parametrize("old", ["a\nb\nc\nd", "x y z\n\nw", "\n\n\n", "same"])
@pytest.mark.parametrize("new", ["a\nB\nc\nd\ne", "z y x\n\nw!", "", "same"])
def test_both_sides_can_be_read_back(old: str, new: str) -> None:
    shown: Shown = diff_lines.shown(text_content(old), text_content(new))
    if old == new:
        assert shown.is_same
        return
    rows = [pair for hunk in shown.messages[0].hunks for pair in hunk.pairs]
    for side, text in (("left", old), ("right", new)):
        found = [getattr(pair, side) for pair in rows]
        said = "\n".join("".join(one.text for one in line.segments) for line in found if line is not None)
        assert said == text


def test_shows_any_two_versions_in_both_shapes(alice_client: Client, bob_client: Client, prompt: Prompt) -> None:
    publish(
        prompt,
        content(
            parameters={"temperature": 0.9},
            messages=[
                {"role": "system", "content": "You help customers of {{shop}}. Be kind."},
                {"role": "user", "content": "{{question}}"},
            ],
        ),
        note="Kinder",
    )
    publish(prompt, content(model="other"))
    newest = alice_client.get(URL).content.decode()
    assert "Model: test/echo → other." in newest
    for shape in ("", "split", "nonsense"):
        page = bob_client.get(URL, {"from": "1.0.0", "to": "1.1.0", "as": shape}).content.decode()
        assert "<del>brief</del>" in page
        assert "<ins>kind</ins>" in page
        assert "parameters.temperature" in page
        assert "Kinder" in page
        assert ("diff__pair" in page) == (shape == "split")
    back = alice_client.get(URL, {"from": "1.1.0", "to": "1.0.0"}).content.decode()
    assert "<del>kind</del>" in back
    same = alice_client.get(URL, {"from": "1.0.0", "to": "1.0.0"}).content.decode()
    assert "Nothing differs." in same


@pytest.mark.parametrize(
    "query", [{"from": "9.0.0"}, {"to": "x"}, {"draft": "x"}, {"draft": "00000000-0000-0000-0000-000000000000"}]
)
def test_knows_what_is_not_there(alice_client: Client, prompt: Prompt, query: dict[str, str]) -> None:
    assert alice_client.get(URL, query).status_code == 404
