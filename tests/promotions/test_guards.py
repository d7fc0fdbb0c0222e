"""The database itself: what it refuses to whoever writes rows as the application does, past every service."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core import clock
from apps.projects import services as projects
from apps.projects.models import Environment, Project
from apps.promotions.models import Decision, FollowUp, Promotion, PromotionEvent
from apps.promotions.services import deciding
from apps.prompts import services as prompts
from apps.prompts.models import Deployment
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db

DEPLOY = """
INSERT INTO prompts_deployment (uuid, project_id, prompt_id, environment_id, version_id, started_at, actor_kind,
    actor_name, reason, model, evidence_kind, evidence_id)
VALUES (gen_random_uuid(), %(project)s, %(prompt)s, %(production)s, {version}, clock_timestamp(), 'user', 'x', '',
    '{model}', '{kind}', {id})
"""
END = "UPDATE prompts_deployment SET ended_at = clock_timestamp() WHERE id = %(live)s;"


def deploy(
    version: str = "%(version)s", *, kind: str = "promotion", id: str = "%(waiting_id)s", model: str = ""
) -> str:
    """The statements that put something in the place of what is live."""
    return END + DEPLOY.format(version=version, kind=kind, id=id, model=model)


PROMOTE = """
INSERT INTO promotions_promotion (uuid, project_id, number, kind, purpose, state, prompt_id, environment_id, version_id,
    model, content_hash, rule_id, rule_hash, rule_said, requester_id, requester_kind, requester_name, origin, why,
    changes, reasons, asked_at, reminders)
SELECT gen_random_uuid(), project_id, 900, '{kind}', '{purpose}', '{state}', prompt_id, environment_id, version_id,
    'x', {hash}, rule_id, rule_hash, rule_said, requester_id, 'user', 'x', 'api', 'why', '[]', '[]', now(), 0
FROM promotions_promotion WHERE id = %(waiting)s
"""


def promote(
    *, kind: str = "promotion", purpose: str = "live", state: str = "checking", hash: str = "content_hash"
) -> str:
    """A promotion like the one that waits, on another model."""
    return PROMOTE.format(kind=kind, purpose=purpose, state=state, hash=hash)


DECIDE = """
INSERT INTO promotions_decision (uuid, promotion_id, kind, person_id, actor_kind, actor_name, reason, bound_to,
    decided_at)
SELECT gen_random_uuid(), id, 'approved', {person}, 'user', 'x', '',
    jsonb_build_object('content', {content}, 'rule', rule_hash), now()
FROM promotions_promotion WHERE id = {promotion}
"""


def decide(person: str, *, promotion: str = "%(waiting)s", content: str = "content_hash") -> str:
    """An approval in that person's name."""
    return DECIDE.format(person=person, promotion=promotion, content=content)


SET = "UPDATE promotions_promotion SET {} WHERE id = %(waiting)s"
FORGE_REPORT = """
INSERT INTO evals_gatereport (uuid, project_id, gate_id, run_id, verdict, conditions, config, bound_to, actor_name,
    made_at)
SELECT gen_random_uuid(), project_id, gate_id, run_id, {verdict}, {conditions}, config, {bound_to}, 'x', now()
FROM evals_gatereport WHERE id = %(report)s;
"""
PASS = "UPDATE promotions_promotioncheck SET state = 'passed', report_id = {} WHERE promotion_id = %(refused)s"
NEWEST = "(SELECT max(id) FROM evals_gatereport)"


def forge(*, verdict: str = "'passed'", conditions: str = "conditions", bound_to: str = "bound_to") -> str:
    """A report over the run that failed, and the check that takes it up."""
    return FORGE_REPORT.format(verdict=verdict, conditions=conditions, bound_to=bound_to) + PASS.format(NEWEST)


GOOD_CONDITIONS = """'{"conditions": [{"state": "passed"}]}'"""
REFUSED: dict[str, tuple[str, str]] = {
    # Going live without a promotion, or with one that does not let in.
    "no evidence": (deploy(kind="", id="NULL"), "takes promotions only"),
    "evidence that is nothing": (deploy(id="gen_random_uuid()"), "about something else"),
    "a promotion that waits": (deploy(), "is waiting"),
    "a promotion of another version": (deploy("%(other)s"), "about something else"),
    "a promotion on another model": (deploy(model="gpt-4"), "about something else"),
    "a promotion that was used": (deploy("%(live_version)s", id="%(done_id)s"), "is live for live"),
    "a return to what never was": (deploy(kind="return", id="gen_random_uuid()"), "never live"),
    "a return to another version": (deploy(kind="return", id="%(live_id)s"), "never live"),
    "a return elsewhere": (deploy("%(staged_version)s", kind="return", id="%(staged_id)s"), "never live"),
    "nothing in its place": (END + "SET CONSTRAINTS ALL IMMEDIATE", "replaced, not ended"),
    "another version in the row": ("UPDATE prompts_deployment SET version_id = %(version)s", "history"),
    "another environment in the row": ("UPDATE prompts_deployment SET environment_id = %(staging)s", "history"),
    "no row": ("DELETE FROM prompts_deployment WHERE id = %(live)s", "history"),
    "staging under the name of production": (
        "UPDATE projects_environment SET slug = 'x' WHERE id = %(production)s",
        "keeps its name",
    ),
    # States.
    "begins as waiting": (promote(state="waiting"), "does not begin as waiting"),
    "begins as approved": (promote(state="approved"), "does not begin as approved"),
    "begins as live": (promote(kind="override", state="live"), "does not begin as live"),
    "an override to experiment": (promote(kind="override", purpose="experiment"), "for going live"),
    "another content under this number": (promote(hash="repeat('0', 64)"), "joins a version"),
    "approved by nobody": (SET.format("state = 'approved'"), "0 of 1 approvals"),
    "live without a deployment": (SET.format("state = 'live'"), "does not become live"),
    "a failed gate that waits": (
        "UPDATE promotions_promotion SET state = 'waiting' WHERE id = %(refused)s",
        "was not passed",
    ),
    "refused that is approved": (
        "UPDATE promotions_promotion SET state = 'approved' WHERE id = %(refused)s",
        "does not become approved",
    ),
    "another version": (SET.format("version_id = %(other)s"), "never changes"),
    "another requester": (SET.format("requester_id = %(rita)s"), "never changes"),
    "an override by and by": (SET.format("kind = 'override'"), "never changes"),
    "a rule that asks for nobody": (SET.format("rule_said = '{}'"), "only while it is checked"),
    "another baseline": (SET.format("live_before_id = NULL"), "only while it is checked"),
    "a promotion that is gone": ("DELETE FROM promotions_promotion WHERE id = %(waiting)s", "are kept"),
    # Decisions.
    "the requester's approval": (decide("%(ed)s"), "whoever wrote it or asked for it"),
    "the author's approval": (decide("%(author)s"), "whoever wrote it or asked for it"),
    "a stranger's approval": (decide("%(stranger)s"), "only a reviewer or an admin"),
    "a viewer's approval": (decide("%(viewer)s"), "only a reviewer or an admin"),
    "an approval of another content": (decide("%(rita)s", content="'x'"), "names the content"),
    "an approval of what is refused": (decide("%(rita)s", promotion="%(refused)s"), "refused is not decided on"),
    "another decision": ("UPDATE promotions_decision SET kind = 'rejected'", "never changes"),
    "no decision": ("DELETE FROM promotions_decision", "never changes"),
    "another history": ("UPDATE promotions_promotionevent SET sentence = 'x'", "never changes"),
    "no history": ("DELETE FROM promotions_promotionevent", "never changes"),
    # Gates, reports and what they are about.
    "a failed report": (PASS.format("%(report)s"), "says failed"),
    "no report": (PASS.format("NULL"), "there is no report"),
    "the report of another content": (PASS.format("%(good_report)s"), "about another content"),
    "a forged verdict": (forge(), "not every condition"),
    "a forged report without conditions": (forge(conditions="'{}'"), "not every condition"),
    "a forged report about another content": (
        forge(conditions=GOOD_CONDITIONS, bound_to="jsonb_set(bound_to, '{content}', to_jsonb(repeat('0', 64)))"),
        "about another content",
    ),
    "another gate's check": (
        "UPDATE promotions_promotioncheck SET state = 'failed' WHERE promotion_id = %(waiting)s",
        "do not change",
    ),
    "no check": ("DELETE FROM promotions_promotioncheck WHERE promotion_id = %(waiting)s", "do not change"),
    "another report": ("UPDATE evals_gatereport SET verdict = 'passed'", "never changes"),
    "another content": ("UPDATE prompts_version SET content_hash = 'x'", "never changes"),
}


def make_scene(project: Project) -> dict[str, Any]:
    """Something live, something that waits, something refused, something in staging: their ids by name."""
    ed, rita = making.ed(project), making.rita(project)
    done = making.waiting(project)
    actor = factories.actor_of(rita)
    done = deciding.approve(promotion=done, actor=actor, person=rita, now=clock.now())
    assert done.deployment is not None
    gate = done.checks.get().gate
    refused_version = making.make_version(project, making.BAD)
    report = making.failed_report(gate, refused_version)
    refused = making.ask(refused_version)
    assert refused.state == "refused"
    waiting = making.waiting(project, f"{making.GOOD} ")
    good_report = waiting.checks.get().report
    assert good_report is not None
    staged = prompts.deploy(
        prompt=done.prompt,
        version=refused_version,
        environment=making.environment(project, "staging"),
        actor=actor,
        now=clock.now(),
    )
    Deployment.objects.filter(pk=staged.pk).update(ended_at=clock.now())
    return {
        "project": project.pk,
        "prompt": done.prompt_id,
        "production": done.environment_id,
        "staging": staged.environment_id,
        "live": done.deployment.pk,
        "live_id": done.deployment.uuid,
        "live_version": done.version_id,
        "done_id": done.uuid,
        "waiting": waiting.pk,
        "waiting_id": waiting.uuid,
        "version": waiting.version_id,
        "refused": refused.pk,
        "other": refused_version.pk,
        "staged_id": staged.uuid,
        "staged_version": refused_version.pk,
        "report": report.pk,
        "good_report": good_report.pk,
        "ed": ed.pk,
        "rita": rita.pk,
        "author": waiting.version.author_id,
        "viewer": factories.make_member(project).user_id,
        "stranger": factories.make_user().pk,
    }


def run(statements: str, ids: dict[str, Any]) -> None:
    """Each statement in turn, in one transaction, as whoever got hold of the connection."""
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in statements.split(";"):
            if statement.strip():
                cursor.execute(statement, ids)


def live_now(project: Project) -> list[tuple[int, int, str]]:
    """What is live in production."""
    rows = Deployment.objects.filter(project=project, environment__slug="production", ended_at=None)
    return list(rows.values_list("pk", "version_id", "model"))


def test_what_the_database_refuses(project: Project) -> None:
    """Each statement by itself fails with its own reason, and production stays; with protection lifted, too."""
    ids = make_scene(project)
    before = live_now(project)
    assert len(before) == 1
    for is_protected in (True, False):
        Environment.objects.filter(pk=ids["production"]).update(is_protected=is_protected)
        for name, (statements, reason) in REFUSED.items():
            with pytest.raises(DatabaseError) as caught, transaction.atomic():
                run(statements, ids)
            assert reason in str(caught.value), f"{name}: {caught.value}"
            assert live_now(project) == before, name
    # The same statements do work where they may: an approval by a reviewer, and what follows from it.
    run(decide("%(rita)s") + ";" + SET.format("state = 'approved'") + ";" + deploy(), ids)
    assert live_now(project)[0][1] == ids["version"]
    run(
        END.replace("%(live)s", str(live_now(project)[0][0]))
        + DEPLOY.format(version="%(live_version)s", kind="return", id="%(live_id)s", model=""),
        ids,
    )
    assert live_now(project)[0][1] == ids["live_version"]


def test_a_gate_that_changed_lets_nobody_in_even_past_the_services(project: Project) -> None:
    """Stricter conditions, another set, a rule with one more gate: the forged approval meets a closed door."""
    ids = make_scene(project)
    before = live_now(project)
    ways = {
        "changed since it was passed": "UPDATE evals_gate SET config_hash = 'x'",
        "or its examples": "UPDATE evals_evalset SET head = head + 1",
        "changed since": "UPDATE evals_gate SET archived_at = now()",
        "was not asked": "INSERT INTO promotions_releaserule_gates (releaserule_id, gate_id) "
        "SELECT r.id, %(gate)s FROM promotions_releaserule r",
        "0 of 2 approvals": "UPDATE promotions_releaserule SET approvals_needed = 2;"
        "UPDATE projects_membership SET role = 'viewer' WHERE user_id = %(rita)s",
        "there is no release rule": "UPDATE promotions_promotion SET rule_id = NULL WHERE id = %(waiting)s",
    }
    ids["gate"] = making.make_gate(project, "second").pk
    for reason, change in ways.items():
        with pytest.raises(DatabaseError) as caught, transaction.atomic():
            run(decide("%(rita)s") + ";" + change + ";" + SET.format("state = 'approved'"), ids)
        assert reason in str(caught.value)
    assert live_now(project) == before


def test_a_return_is_worth_what_it_returns_to(project: Project) -> None:
    """What was live before an environment was protected showed nothing, so nobody returns to it."""
    actor = factories.actor_of(making.owner_of(project))
    version = making.make_version(project)
    canary = projects.add_environment(
        project=project, name="canary", is_protected=False, actor=actor, now=factories.NOW
    )
    ids: dict[str, Any] = {"project": project.pk, "prompt": version.prompt_id, "production": canary.pk}
    first = prompts.deploy(prompt=version.prompt, version=version, environment=canary, actor=actor, now=factories.NOW)
    second = prompts.deploy(
        prompt=version.prompt,
        version=making.make_version(project, making.BAD),
        environment=canary,
        actor=actor,
        now=factories.NOW,
    )
    ids |= {"live": second.pk, "version": version.pk, "first": first.uuid}
    run(deploy(kind="return", id="%(first)s"), ids)  # fine while everybody may deploy there
    returned = Deployment.objects.get(environment=canary, ended_at=None)
    run(
        END.replace("%(live)s", str(returned.pk))
        + DEPLOY.format(version=second.version_id, kind="return", id=f"'{second.uuid}'", model=""),
        ids,
    )
    projects.protect_environment(project=project, environment=canary, is_protected=True, actor=actor, now=factories.NOW)
    ids["live"] = Deployment.objects.get(environment=canary, ended_at=None).pk
    for past in (first, returned):
        with pytest.raises(DatabaseError, match="live there without evidence"), transaction.atomic():
            run(deploy(kind="return", id=f"'{past.uuid}'"), ids)


def test_deleting_a_project_takes_its_promotions_along(project: Project, other_project: Project) -> None:
    """With everything that never changes otherwise; and only that project's."""
    make_scene(project)
    kept = making.waiting(other_project)
    actor = factories.actor_of(making.owner_of(project))
    projects.delete_project(project=project, typed_name=project.name, actor=actor, now=clock.now())
    assert list(Promotion.objects.all()) == [kept]
    assert not Decision.objects.exists()
    assert not FollowUp.objects.exists()
    assert set(PromotionEvent.objects.values_list("promotion", flat=True)) == {kept.pk}
    with pytest.raises(DatabaseError), transaction.atomic():
        kept.delete()
