"""Pages of promotions: what each says in words, who may do what there, and how many queries it takes."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.core import clock
from apps.projects.models import Project
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.services import asking, rules
from apps.prompts.models import Deployment
from tests import factories
from tests.conftest import page_client, sign_in
from tests.promotions import making

pytestmark = pytest.mark.django_db

QUERIES_AT_MOST = 12


def text_of(client: Client, path: str, status: int = 200) -> str:
    """The page, which answers with this status."""
    answer = client.get(path)
    assert answer.status_code == status, path
    return answer.content.decode()


def test_it_is_asked_for_approved_and_live(project: Project, django_assert_max_num_queries: Any) -> None:
    """From the form with its preview, over the report condition by condition, to live with the way back."""
    base = f"/p/{project.slug}/promotions"
    first = making.waiting(project)
    reviewer, editor = page_client(making.rita(project)), page_client(making.ed(project))
    page = f"{base}/{first.number}"
    reviewer.post(f"{page}/decide", {"decision": "approve"})
    version = making.make_version(project, parameters={"temperature": 0.5})
    told = {"prompt": making.NAME, "version": str(version.number), "environment": "production", "model": ""}

    editor.get(f"{base}/new")  # the first visit remembers the project
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        form = editor.get(f"{base}/new", told).content.decode()
    assert "It passes the gate Ship" in form
    assert "parameters.temperature" in form
    assert "a run over 4 examples starts" in editor.get(f"{base}/new/runs", told).content.decode()
    making.passed_report(first.checks.get().gate, version)
    asked = editor.post(f"{base}/new", told | {"why": "Warmer <b>tone</b>"})
    assert asked.status_code == 302, asked.content.decode()
    promotion = Promotion.objects.get(number=2)
    assert (promotion.origin, promotion.why, asked["Location"]) == ("page", "Warmer <b>tone</b>", f"{base}/2")

    page = f"{base}/2"
    shown = text_of(reviewer, page)
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        text_of(reviewer, page)
    assert "Waiting for your approval." in shown
    assert "Gate passed" in shown
    assert "Warmer &lt;b&gt;tone" in shown
    assert "in place of 1.0.0" in shown
    assert "asks for 4 examples only" in shown
    assert "Enough examples" in shown
    assert "parameters.temperature" in shown
    assert "Approve and go live" in shown
    theirs = text_of(editor, page)
    assert "Approve and go live" not in theirs
    assert "With the role editor nobody decides" in theirs
    assert "Withdraw" in theirs

    done = reviewer.post(f"{page}/decide", {"decision": "approve", "reason": "Read it"}, follow=True)
    live = done.content.decode()
    assert "Live in production." in live
    assert "Read it" in live
    assert "Roll back" in live
    assert Deployment.objects.get(ended_at=None).version == version
    assert "It was live in production." in text_of(reviewer, f"{base}/1")


def test_approving_takes_a_fresh_sign_in(project: Project) -> None:
    """An old session is asked for the password first; rejecting without a reason keeps what was typed."""
    promotion = making.waiting(project)
    page = f"/p/{project.slug}/promotions/{promotion.number}"
    client = Client()
    sign_in(client, making.rita(project), seconds_ago=3600)
    asked = client.post(f"{page}/decide", {"decision": "approve"})
    assert asked.status_code == 302
    assert "/accounts/reauthenticate/" in asked["Location"]
    refused = client.post(f"{page}/decide", {"decision": "reject", "reason": " "})
    assert refused.status_code == 422
    assert "Say why" in refused.content.decode()
    assert client.post(f"{page}/decide", {"decision": "burn"}).status_code == 422
    assert client.get(f"{page}/decide").status_code == 405
    promotion.refresh_from_db()
    assert promotion.state == "waiting"
    done = client.post(f"{page}/decide", {"decision": "reject", "reason": "Not yet"}, follow=True)
    assert "Rejected by rita@example.com: Not yet." in done.content.decode()


def test_what_was_judged_by_changed(project: Project) -> None:
    """The page says so before, approving makes it void, and it is asked for again in one click."""
    promotion = making.waiting(project)
    page = f"/p/{project.slug}/promotions/{promotion.number}"
    reviewer = page_client(making.rita(project))
    assert "does not hold" not in text_of(reviewer, f"{page}/holds")
    rule = promotion.rule
    assert rule is not None
    new = rules.NewRule(environment=rule.environment, gates=list(rule.gates.all()), approvals_needed=2)
    admin = factories.actor_of(making.owner_of(project))
    rules.set_rule(project=project, rule=new, actor=admin, now=clock.now())
    assert "does not hold" in text_of(reviewer, f"{page}/holds")
    done = reviewer.post(f"{page}/decide", {"decision": "approve"}, follow=True).content.decode()
    assert "Void:" in done
    assert not Deployment.objects.exists()
    again = reviewer.post(f"{page}/decide", {"decision": "check"})
    assert again["Location"].endswith("/promotions/2")
    assert "0 of 2 approvals" in text_of(page_client(making.rob(project)), again["Location"])


def test_the_list_puts_what_waits_for_me_first(
    project: Project, bob_client: Client, django_assert_max_num_queries: Any
) -> None:
    """Mine, others', being checked with progress, refused, decided; the rail counts mine alone."""
    base = f"/p/{project.slug}/promotions"
    empty = text_of(bob_client, base)
    assert "curl -X POST" in empty
    waiting = making.waiting(project)
    rita = page_client(making.rita(project))
    rita.get(base)
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        rita.get(base)
    checking = making.ask(making.make_version(project, making.BAD))
    assert checking.state == "checking"
    mine = text_of(rita, base)
    assert mine.index("Waiting for you") < mine.index("Being checked")
    assert "waiting</span>" in mine[mine.index('class="rail') : mine.index("</nav>")]
    assert "Waiting for others" in text_of(bob_client, base)
    assert "Waiting for you" not in text_of(bob_client, base)
    part = rita.get(base, headers={"HX-Request": "true"}).content.decode()
    assert part.strip().startswith('<div class="stack" id="promotions-open" hx-get')
    moving = rita.get(f"{base}/{checking.number}", headers={"HX-Request": "true"})
    assert "of 4 done" in moving.content.decode()
    assert "HX-Refresh" not in moving

    making.finish_runs(project)
    asking.settle_checks(now=clock.now())
    assert rita.get(f"{base}/{checking.number}", headers={"HX-Request": "true"})["HX-Refresh"] == "true"
    refused = text_of(rita, f"{base}/{checking.number}")
    assert "Refused: Pass rate 0" in refused
    assert "Check again" in refused
    assert "Refused by a gate" in text_of(rita, base)
    assert "Refused by a gate" not in text_of(rita, f"{base}?state=waiting")
    assert "Nothing fits the filter" in text_of(rita, f"{base}?state=live")
    assert f"promotions/{waiting.number}" in text_of(rita, f"/p/{project.slug}/prompts/{making.NAME}/-/promotions")
    assert text_of(rita, f"{base}/999", 404)


def test_an_emergency_leaves_a_review_to_sign(project: Project, alice: User) -> None:
    """Asked for from a refused one by a reviewer, approved by an admin, signed by somebody else than who asked."""
    making.make_rule(project)
    version = making.make_version(project, making.BAD, author=making.ed(project))
    making.failed_report(rules.selectors.list_rules(project)[0].gates.get(), version)
    refused = making.ask(version)
    page = f"/p/{project.slug}/promotions"
    rita, admin = page_client(making.rita(project)), page_client(alice)
    assert "Emergency" in text_of(rita, f"{page}/{refused.number}")
    assert page_client(making.ed(project)).post(f"{page}/{refused.number}/override", {"why": "x"}).status_code == 403
    assert rita.post(f"{page}/{refused.number}/override", {"why": ""}).status_code == 422
    asked = rita.post(f"{page}/{refused.number}/override", {"why": "It insults customers"})
    assert asked.status_code == 302, asked.content.decode()
    override = Promotion.objects.get(kind="override")
    path = f"{page}/{override.number}"
    assert "this is an emergency. Waiting for your approval." in text_of(admin, path)
    admin.post(f"{path}/decide", {"decision": "approve"})
    live = text_of(rita, path)
    assert "Review afterwards" in live
    assert FollowUp.objects.get().done_at is None
    assert rita.post(f"{path}/follow-up", {"finding": "All fine"}).status_code == 422, "not by who asked"
    assert admin.post(f"{path}/follow-up", {"finding": ""}).status_code == 422
    assert admin.post(f"{path}/follow-up", {"finding": "The set lacked insults"}).status_code == 302
    assert "The set lacked insults" in text_of(rita, path)
    again = rita.post(f"{path}/follow-up", {"finding": "Twice"})
    assert (again.status_code, FollowUp.objects.get().finding) == (422, "The set lacked insults")


def test_a_comment_is_shown_as_it_was_typed(project: Project, bob_client: Client, charlie_client: Client) -> None:
    """A viewer reads and does not write; a stranger sees nothing."""
    promotion = making.waiting(project)
    page = f"/p/{project.slug}/promotions/{promotion.number}"
    editor = page_client(making.ed(project))
    assert editor.post(f"{page}/comment", {"text": "Is <i>this</i> safe?"}).status_code == 302
    assert editor.post(f"{page}/comment", {"text": " "}).status_code == 422
    assert "Is &lt;i&gt;this&lt;/i&gt; safe?" in text_of(bob_client, page)
    assert bob_client.post(f"{page}/comment", {"text": "x"}).status_code == 403
    assert promotion.comments.count() == 1
    assert charlie_client.get(page).status_code == 404
