"""Examples made of traces, of reviewed answers and of answers of the playground."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from apps.accounts.models import User
from apps.evals.models import EvalSet, Example
from apps.evals.recovering import variables_of
from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.projects.models import Project
from apps.telemetry.models import ReviewItem
from tests import factories
from tests.conftest import page_client
from tests.evals import making
from tests.prompts.conftest import make_prompt, publish
from tests.telemetry.conftest import Intake, make_span
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import intake as intake
from tests.telemetry.conftest import span_tables as span_tables

ADD = "/p/support-desk/eval-sets/-/add"
SENT = [
    {"role": "system", "content": "You help customers of Fernhill. Be brief."},
    {"role": "user", "content": "Where is my parcel?\nIt is late."},
]

RECOVERED: list[tuple[list[str], list[str], dict[str, str] | None]] = [
    (["Hi {{ name }}, {{name}}!"], ["Hi Ann, Ann!"], {"name": "Ann"}),
    (["Hi {{name}}, {{name}}!"], ["Hi Ann, Bob!"], None),
    (["{{a}}", "say {{a}}"], ["x\ny", "say x\ny"], {"a": "x\ny"}),
    (["{{a}}"], ["x", "more"], None),
    (["{{#if}}{{a}}{{/if}}"], ["x"], None),
    (["no tags (at all)"], ["no tags (at all)"], None),
    (["{{a}}" + "{{b}}x" * 1], ["y" * 20_000], None),
]


@pytest.mark.parametrize(("templates", "texts", "expected"), RECOVERED)
def test_variables_are_read_back(templates: list[str], texts: list[str], expected: dict[str, str] | None) -> None:
    """Only what a template can have said is read back, and then all of it."""
    asked = [{"role": "user", "content": text} for text in templates]
    sent = [{"role": "user", "content": text} for text in texts]
    assert variables_of(asked, sent) == expected


def typed(page: Any, **changes: Any) -> dict[str, Any]:
    """What the form on the page would send."""
    form = page.context["form"]
    first = {name: form[name].value() for name in form.fields if name not in {"again", "base"}}
    return {name: value for name, value in {**first, **changes}.items() if value is not None}


@pytest.mark.django_db(transaction=True)
def test_from_a_trace(project: Project, alice: User, intake: Intake) -> None:
    """A call of a known version becomes its variables, goes into the set that was chosen, and is not added twice
    without being asked for."""
    publish(make_prompt(project))
    span = make_span(
        input=SENT,
        output="Ask for the order number.",
        prompt_name="support/answer",
        prompt_version="1.0.0",
        feature="answers",
    )
    assert intake.post([span]).status_code == 200
    making.make_set(project, "aaa")
    golden = making.make_set(project, feature="answers")
    alice_client = page_client(alice)
    asked = f"{ADD}?trace={span['trace_id']}&span={span['span_id']}"
    trace_page = alice_client.get(f"/p/support-desk/traces/{span['trace_id']}").content.decode()
    assert asked.replace("&", "&amp;") in trace_page
    page = alice_client.get(asked)
    assert "support/answer 1.0.0" in page.content.decode()
    assert "what the model answered" in page.content.decode()
    sent = typed(page, expected="Ask for the number.", slices="delivery", state="approved")
    assert sent["eval_set"] == "golden"
    done = alice_client.post(asked, sent)
    row = Example.objects.get()
    assert (done.status_code, row.eval_set, row.origin, row.state) == (302, golden, "trace", "approved")
    assert row.variables == {"shop": "Fernhill", "question": "Where is my parcel?\nIt is late."}
    assert (row.messages, row.expected, row.trace_id, row.span_id) == (
        None,
        "Ask for the number.",
        span["trace_id"],
        span["span_id"],
    )
    assert "There are examples of this trace already" in alice_client.get(asked).content.decode()
    assert "already" in alice_client.post(asked, sent).content.decode()
    assert Example.objects.count() == 1
    assert alice_client.post(asked, {**sent, "again": "on"}).status_code == 302
    assert alice_client.post(asked, {**sent, "eval_set": "-new", "new_name": "Fresh"}).status_code == 302
    assert EvalSet.objects.get(slug="fresh").feature == "answers"
    assert Example.objects.count() == 3


def test_from_a_review_whose_trace_is_gone(project: Project, alice_client: Client, charlie_client: Client) -> None:
    """The correction is what is expected; the copy that the case kept says what was asked."""
    making.make_set(project)
    item = ReviewItem.objects.create(
        project_id=project.pk,
        trace_id=bytes(16),
        span_id=bytes(8),
        source="person",
        reason="thumbs down",
        flagged_by="alice@example.com",
        input="Where is my parcel?",
        output="No idea.",
        status="done",
        verdict="bad",
        correction="Ask for the order number.",
        failure_label="incomplete",
        decided_at=factories.NOW,
    )
    address = f"{ADD}?review={item.uuid}"
    assert alice_client.post(address, typed(alice_client.get(address))).status_code == 302
    row = Example.objects.get()
    assert (row.expected, row.origin, row.note) == ("Ask for the order number.", "review", "incomplete")
    assert row.messages == [{"role": "user", "content": "Where is my parcel?"}]
    assert charlie_client.get(address).status_code == 404
    ReviewItem.objects.filter(pk=item.pk).update(status="open", verdict="")
    assert alice_client.get(address).status_code == 404


def test_from_the_playground(project: Project, alice: User, alice_client: Client) -> None:
    """An answer is kept with the values that it was asked with."""
    making.make_set(project)
    case = {
        "content": {"kind": "chat", "messages": [{"role": "user", "content": "{{question}}"}]},
        "values": {"question": "Why?"},
        "more": [],
        "is_literal": False,
    }
    run = PlaygroundRun.objects.create(
        project=project,
        actor=alice,
        actor_name="alice",
        origin="empty",
        case=case,
        messages=[{"role": "user", "content": "Why?"}],
    )
    answer = PlaygroundAnswer.objects.create(
        project=project, run=run, column=0, model="test/echo", state="done", text="Because."
    )
    address = f"{ADD}?answer={answer.uuid}"
    assert alice_client.post(address, typed(alice_client.get(address))).status_code == 302
    row = Example.objects.get()
    assert (row.variables, row.expected, row.origin) == ({"question": "Why?"}, "Because.", "playground")
    for bad in ("answer=1", "trace=zz", f"review={answer.uuid}", ""):
        assert alice_client.get(f"{ADD}?{bad}").status_code == 404
