"""Telling people, each thing once: whose a notice is, what is unread, mail with retries, and reminders."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.mail.backends.locmem import EmailBackend

from apps.alerts.models import Notice
from apps.alerts.services import notices
from apps.core import clock
from apps.projects.models import Project
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.services import reminding
from tests.conftest import Api, page_client
from tests.factories import NOW
from tests.promotions import making
from tests.promotions.test_overriding import approve, override

HOUR = timedelta(hours=1)


class Broken(EmailBackend):
    """A mail server that refuses while it is told to."""

    is_down = True

    def send_messages(self, messages: Any) -> int:
        """As the real one, or the error that it raises."""
        if Broken.is_down:
            raise ConnectionRefusedError("nobody listens")
        return super().send_messages(messages)


def tell(project: Project, key: str = "one", **changes: Any) -> Notice | None:
    told: dict[str, Any] = {"kind": "test", "title": f"About {key}", "role": "viewer", "now": NOW}
    return notices.notify(project=project, key=key, **told | changes)


@pytest.mark.django_db
def test_a_thing_is_told_once_to_those_it_is_meant_for(project: Project, django_assert_max_num_queries: Any) -> None:
    assert tell(project, title="Rolled <b>back</b>", level="bad") is not None
    assert tell(project, title="Said again") is None
    tell(project, "two", role="reviewer")
    viewer, reviewer = making.make_person(project, "vic", making.Role.VIEWER), making.rita(project)
    assert Api(user=viewer).get("/api/v1/notices").json()["items"][0]["title"] == "Rolled <b>back</b>"
    assert [one["title"] for one in Api(user=reviewer).get("/api/v1/notices").json()["items"]] == [
        "About two",
        "Rolled <b>back</b>",
    ]
    second = Notice.objects.get(key="two")
    hidden = Api(user=viewer).post(f"/api/v1/notices/{second.uuid}/read")
    assert hidden.status_code == 404

    client = page_client(reviewer)
    at = f"/p/{project.slug}/alerts"
    client.get(at)
    with django_assert_max_num_queries(12):
        page = client.get(at).content.decode()
    assert "Rolled &lt;b&gt;back" in page
    assert "2 unread notices" in page
    assert client.post(f"{at}/{second.uuid}/read").status_code == 302
    assert "1 unread notice" in client.get(at).content.decode()
    assert client.post(f"{at}/read").status_code == 302
    assert "unread notice" not in client.get(at).content.decode()
    unread = {"unread": "true"}
    assert Api(user=reviewer).get("/api/v1/notices", unread).json()["items"] == []
    assert len(Api(user=viewer).get("/api/v1/notices", unread).json()["items"]) == 1, "reading is each person's own"


@pytest.mark.django_db(transaction=True)
def test_mail_is_tried_again_and_names_nobody_to_the_others(
    project: Project, settings: Any, mailoutbox: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.SENDS_MAIL, settings.EMAIL_BACKEND = True, f"{__name__}.Broken"
    settings.PUBLIC_URL = "https://prod.example"
    reviewer = making.rita(project)
    making.make_person(project, "vic", making.Role.VIEWER)
    tell(project, "one", role="reviewer", path="/p/x/promotions/1", title="It waits\nnow")
    monkeypatch.setattr(Broken, "is_down", True)
    assert notices.send_due(now=NOW) == 0
    notice = Notice.objects.get()
    assert (notice.mail_tries, notice.mailed_at) == (1, None)
    assert "nobody listens" in notice.mail_problem
    assert notices.send_due(now=NOW) == 0, "not before the pause is over"
    monkeypatch.setattr(Broken, "is_down", False)
    assert notices.send_due(now=NOW + HOUR) == 1
    assert notices.send_due(now=NOW + 2 * HOUR) == 0
    (mail,) = mailoutbox
    assert mail.to == []
    assert reviewer.email in mail.bcc
    assert "vic@example.com" not in mail.bcc
    assert "\n" not in mail.subject
    assert "https://prod.example/p/x/promotions/1" in mail.body


@pytest.mark.django_db(transaction=True)
def test_mail_that_never_goes_is_given_up_and_shown(project: Project, settings: Any) -> None:
    settings.SENDS_MAIL, settings.EMAIL_BACKEND = True, f"{__name__}.Broken"
    Broken.is_down = True
    tell(project, "one")
    for hours in range(30):
        notices.send_due(now=NOW + hours * HOUR)
    notice = Notice.objects.get()
    assert notice.mail_due_at is None
    assert 8 <= notice.mail_tries <= 30
    assert "ould not be mailed" in page_client(making.rita(project)).get(f"/p/{project.slug}/alerts").content.decode()


@pytest.mark.django_db
def test_what_waits_is_reminded_of_and_then_no_more(project: Project) -> None:
    """After a day, then every two days, five times at most; not once it was decided."""
    promotion = making.waiting(project)
    asked = promotion.checked_at or promotion.asked_at
    assert reminding.remind(now=asked + 23 * HOUR) == 0
    assert reminding.remind(now=asked + 25 * HOUR) == 1
    assert reminding.remind(now=asked + 26 * HOUR) == 0
    for day in range(2, 30):
        reminding.remind(now=asked + day * 24 * HOUR)
    told = Notice.objects.filter(kind="promotion_reminder").order_by("at")
    assert told.count() == 5
    assert {one.role for one in told} == {"reviewer"}
    assert told[4].text.endswith("This is the last reminder.")
    other = making.ask(making.make_version(project, parameters={"temperature": 0.1}))
    Promotion.objects.filter(pk=other.pk).update(state="withdrawn")
    assert reminding.remind(now=clock.now() + 48 * HOUR) == 0


@pytest.mark.django_db
def test_a_review_that_is_due_is_reminded_of_twice(project: Project) -> None:
    approve(override(project, making.rita(project)), making.make_person(project, "boss", making.Role.ADMIN))
    due = FollowUp.objects.get().due_at
    assert reminding.remind(now=due - 30 * HOUR) == 0
    for hours in (-20, -10, 1, 20):
        reminding.remind(now=due + hours * HOUR)
    kinds = Notice.objects.filter(kind__startswith="review_").order_by("at").values_list("kind", "level")
    assert list(kinds) == [("review_due", "warn"), ("review_overdue", "bad")]
