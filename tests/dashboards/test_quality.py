"""The Quality page: what it says, how many queries it takes, and what it teaches when it is empty."""

from __future__ import annotations

import json
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.core import clock
from apps.dashboards import quality, quality_words
from apps.dashboards.quality import Figures, Name
from apps.projects.models import Project
from apps.telemetry import scoring
from apps.telemetry.selectors.scores import Bar
from apps.telemetry.services import scores as services
from apps.telemetry.types import Batch, Outcome

pytestmark = pytest.mark.django_db
MOST_QUERIES = 12


def give(project: Project, *items: dict[str, Any]) -> Outcome:
    """Store these scores, each of a trace of its own and given now unless it says otherwise."""
    now = clock.now()
    said = [{"trace_id": secrets.token_hex(16)} | item for item in items]
    found, _ = scoring.read_body(json.dumps(said).encode(), max_items=5_000)
    read = scoring.read_scores(found, project_id=project.pk, received_at=now)
    assert not read.rejected
    batch = Batch(
        project_id=project.pk,
        key_id=None,
        client="test",
        received_at=now,
        received=len(said),
        spans=[],
        positions=[],
        rejected=[],
        scores=read.records,
    )
    return services.store(batch, now=now)


def place(score: dict[str, Any], **dimensions: str) -> None:
    """Say what the scores of this trace are grouped by, as its spans would."""
    from apps.telemetry.models import Score

    Score.objects.filter(trace_id=bytes.fromhex(score["trace_id"])).update(**dimensions)


def words(html: str) -> str:
    """The text of a page, with single blanks."""
    text = re.sub(r"<script.*?</script>|<[^>]+>", " ", html, flags=re.DOTALL).replace("\xa0", " ")
    return re.sub(r"\s+", " ", text)


def ago(**length: float) -> str:
    """That long before now, as clients write it."""
    return (datetime.now(UTC) - timedelta(**length)).isoformat()


def test_says_how_good_answers_are_against_the_time_before(project: Project, alice_client: Client) -> None:
    good = {"name": "thumbs", "value": 1, "trace_id": secrets.token_hex(16)}
    bad = {"name": "thumbs", "value": 0, "trace_id": secrets.token_hex(16), "comment": "Wrong opening hours."}
    give(project, good, *({"name": "thumbs", "value": 1} for _ in range(2)), bad)
    give(project, *({"name": "thumbs", "value": value, "timestamp": ago(hours=30)} for value in (1, 0)))
    give(project, {"name": "rating", "value": 4}, {"name": "verdict", "label": "refused"})
    place(bad, feature="support-answers", model="gpt-4o", prompt_version="answer@2.0.0")
    page = alice_client.get(f"/p/{project.slug}/quality").content.decode()
    text = words(page)
    assert "75.0 % of thumbs are up in the last 24 hours, 25.0 pt more than in the 24 hours before." in text
    for each in ("support-answers", "gpt-4o", "answer@2.0.0", "Wrong opening hours.", "rating", "verdict"):
        assert each in text, each
    assert f'/traces/{bad["trace_id"]}"' in page
    rows = re.findall(r"up 3 75.0 %|down 1 25.0 %", text)
    assert rows == ["up 3 75.0 %", "down 1 25.0 %"]


def test_shows_the_score_in_its_address(project: Project, alice_client: Client) -> None:
    give(project, *({"name": "thumbs", "value": 1} for _ in range(3)))
    give(project, *({"name": "rating", "value": value} for value in (1, 5, 5)))
    text = words(alice_client.get(f"/p/{project.slug}/quality", {"score": "rating"}).content.decode())
    assert "rating is 3.67 on average in the last 24 hours." in text
    assert "5 2 66.7 % 1 1 33.3 %" in text
    labels = words(alice_client.get(f"/p/{project.slug}/quality", {"score": "nothing"}).content.decode())
    assert "100 % of thumbs are up" in labels


def test_shows_labels_without_numbers(project: Project, alice_client: Client) -> None:
    give(project, *({"name": "verdict", "label": label} for label in ("wrong", "wrong", "right")))
    text = words(alice_client.get(f"/p/{project.slug}/quality").content.decode())
    assert "3 judgements of verdict in the last 24 hours, without a number." in text
    assert "wrong 2 66.7 % right 1 33.3 %" in text
    assert "None of these scores has a number." in text


def test_spreads_many_numbers_over_ten_steps(project: Project, alice_client: Client) -> None:
    give(project, *({"name": "faithfulness", "value": number / 40} for number in range(41)))
    text = words(alice_client.get(f"/p/{project.slug}/quality").content.decode())
    assert "0 – 0.1 4" in text
    assert "0.9 – 1 5" in text


def test_narrows_to_a_feature_and_an_environment(project: Project, alice_client: Client) -> None:
    one = {"name": "thumbs", "value": 1, "trace_id": secrets.token_hex(16)}
    two = {"name": "thumbs", "value": 0, "trace_id": secrets.token_hex(16)}
    give(project, one, two)
    place(one, feature="one", environment="staging")
    place(two, feature="two", environment="production")
    path = f"/p/{project.slug}/quality"
    assert "100 % of thumbs" in words(alice_client.get(path, {"feature": "one"}).content.decode())
    assert "0 % of thumbs" in words(alice_client.get(path, {"env": "production"}).content.decode())
    nothing = words(alice_client.get(path, {"feature": "three"}).content.decode())
    assert "No scores in the last 24 hours." in nothing


def test_lists_the_lowest_or_the_highest(project: Project, alice_client: Client) -> None:
    items = [{"name": "tone", "value": number, "trace_id": f"{number:032x}"} for number in range(1, 21)]
    give(project, *items)
    path = f"/p/{project.slug}/quality"

    def listed(**query: str) -> list[int]:
        page = alice_client.get(path, query).content.decode()
        return [int(each, 16) for each in re.findall(r'/traces/([0-9a-f]{32})"', page)]

    assert listed() == list(range(1, 11))
    assert listed(worst="high") == list(range(20, 10, -1))


def test_takes_few_queries(project: Project, alice_client: Client, django_assert_max_num_queries: Any) -> None:
    names = ["thumbs", "rating", "faithfulness", *(f"other {number}" for number in range(8))]
    for number in range(30):
        give(project, *({"name": name, "value": number / 30, "comment": "x"} for name in names if name != "thumbs"))
    alice_client.get(f"/p/{project.slug}/quality")
    with django_assert_max_num_queries(MOST_QUERIES):
        page = alice_client.get(f"/p/{project.slug}/quality", {"score": "faithfulness"})
    assert b"Every score" in page.content


def test_teaches_before_the_first_score_and_turns_into_the_page(project: Project, alice_client: Client) -> None:
    path = f"/p/{project.slug}/quality"
    page = alice_client.get(path)
    text = words(page.content.decode())
    assert "No score has arrived yet." in text
    assert "/api/v1/scores" in text
    assert "/feedback.js" in page.content.decode()
    assert f'hx-get="{path}' in page.content.decode()
    give(project, {"name": "thumbs", "value": 1})
    fragment = alice_client.get(path, headers={"HX-Request": "true"}).content.decode()
    assert fragment.lstrip().startswith('<div class="stack" id="quality">')
    assert "100 % of thumbs are up" in words(fragment)


def test_another_project_sees_nothing(project: Project, other_project: Project, charlie_client: Client) -> None:
    give(project, {"name": "thumbs", "value": 1})
    page = charlie_client.get(f"/p/{other_project.slug}/quality").content.decode()
    assert "No score has arrived yet." in words(page)


# --- Words --------------------------------------------------------------------------------------------------


def name_with(now: Figures, before: Figures, *, name: str = "tone") -> Name:
    """A score with these figures."""
    return Name(name, now, before, (), ())


@pytest.mark.parametrize(
    ("value", "expected"), [(None, "–"), (4.0, "4"), (3.666, "3.67"), (0.5, "0.5"), (1200.0, "1,200"), (-0.25, "−0.25")]
)
def test_writes_numbers_without_noise(value: float | None, expected: str) -> None:
    assert quality_words.plain(value) == expected


def test_a_mean_of_ones_and_zeros_is_a_share_and_others_are_not() -> None:
    share, number = Figures(4, 4, 3.0, 0.0, 1.0), Figures(4, 4, 12.0, 1.0, 5.0)
    assert name_with(share, Figures()).is_share
    assert not name_with(number, Figures()).is_share
    assert not name_with(share, number).is_share
    assert quality_words.mean_of(share, name_with(share, Figures())) == "75.0\u00a0%"
    assert quality_words.mean_of(number, name_with(number, Figures())) == "3"


def test_only_known_names_with_enough_scores_are_called_better_or_worse() -> None:
    many, few = Figures(50, 50, 40.0, 0.0, 1.0), Figures(5, 5, 4.0, 0.0, 1.0)
    assert quality.good_way("thumbs", many, many) == "up"
    assert quality.good_way("thumbs", many, few) == "none"
    assert quality.good_way("toxicity", many, many) == "none"


def test_names_bars() -> None:
    assert quality_words.bar_name(Bar("", 1.0, 1.0, 3), "thumbs") == "up"
    assert quality_words.bar_name(Bar("", 0.0, 0.0, 3), "thumbs") == "down"
    assert quality_words.bar_name(Bar("", 4.0, 4.0, 3), "rating") == "4"
    assert quality_words.bar_name(Bar("", 0.1, 0.2, 3), "tone") == "0.1 – 0.2"
    assert quality_words.bar_name(Bar("wrong", None, None, 3), "verdict") == "wrong"
    assert quality_words.bar_name(Bar("", None, None, 3), "verdict") == "comment alone"
