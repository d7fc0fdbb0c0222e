"""What the command palette finds."""

from __future__ import annotations

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.projects.models import Project
from tests import factories
from tests.dashboards.conftest import Send, a_call
from tests.dashboards.pages import Page

pytestmark = pytest.mark.usefixtures("at_noon")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def find(client: Client, project: Project, words: str) -> list[tuple[str, str]]:
    page = Page(client.get(f"/p/{project.slug}/palette", {"q": words}, headers={"HX-Request": "true"}))
    return page.links


def test_finds_features_by_a_part_of_their_name(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(feature="support-answers"), a_call(feature="reply drafts"))
    assert find(alice_client, project, "ANSW") == [
        ("support-answersFeature", f"/p/{project.slug}/?feature=support-answers")
    ]
    assert find(alice_client, project, "reply")[0][1] == f"/p/{project.slug}/?feature=reply+drafts"


def test_jumps_to_a_trace_by_its_id(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(trace_id=TRACE))
    ((words, href),) = find(alice_client, project, f"  {TRACE.upper()} ")
    assert words == f"{TRACE}Trace"
    assert Page(alice_client.get(href)).answer.startswith("Answered in 1.00 s")
    # As a UUID, too.
    assert find(alice_client, project, "4bf92f35-77b3-4da6-a3ce-929d0e0e4736") == [(words, href)]


def test_finds_no_trace_of_another_project(
    send: Send, alice_client: Client, project: Project, other_project: Project
) -> None:
    send(other_project, a_call(trace_id=TRACE))
    assert find(alice_client, project, TRACE) == []


def test_finds_the_persons_other_projects(
    alice_client: Client, alice: User, project: Project, other_project: Project
) -> None:
    second = factories.make_project("Second shop", creator=alice)
    assert find(alice_client, project, "shop") == [("Second shopProject", f"/p/{second.slug}/")]


@pytest.mark.parametrize("words", ["", "   ", "\x00", "%", "'", "zzz", "a" * 5000])
def test_finds_nothing_by_nonsense(alice_client: Client, project: Project, words: str) -> None:
    assert find(alice_client, project, words) == []


def test_marks_what_it_finds_as_options(send: Send, alice_client: Client, project: Project) -> None:
    send(project, a_call(feature="<i>x</i>"))
    page = Page(alice_client.get(f"/p/{project.slug}/palette", {"q": "x"}))
    assert 'role="option" id="palette-found-1"' in page.source
    assert "<i>" not in page.source
