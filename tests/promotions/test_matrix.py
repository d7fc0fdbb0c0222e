"""Production never changes without a passed gate on that exact content and another person's approval: every way, tried.

Each case goes one way and leaves production as it was. What whoever writes rows meets is in `test_guards`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import DatabaseError, connection, transaction
from django.urls import get_resolver

from apps.accounts.models import User
from apps.core import clock
from apps.evals.models import Gate
from apps.evals.services import gates
from apps.projects.models import Membership, Project, Role, Scope
from apps.promotions.models import Promotion
from apps.promotions.services import checking, deciding, merging
from apps.prompts.models import Deployment, Split, SplitArm, Version
from apps.prompts.services import git as git_services
from apps.prompts.services.git_remotes import Wishes
from tests import factories
from tests.conftest import Api, page_client
from tests.evals import making as sets
from tests.promotions import making
from tests.prompts.git_server import served

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).parents[2]
PROMPT = "/api/v1/prompts/support/answer"
PAGES = "/p/support-desk/prompts/support/answer/-"

FILE = """\
name: support/answer
version: {number}
messages:
- role: user
  content: "{text}"
"""


def live_now(project: Project) -> list[tuple[int, int, str]]:
    """What is live in production."""
    rows = Deployment.objects.filter(project=project, environment__slug="production", ended_at=None)
    return list(rows.values_list("pk", "version_id", "model"))


def approve(promotion: Promotion, person: User) -> Promotion:
    """Approve it by the service that pages and API call."""
    actor = factories.actor_of(person)
    return deciding.approve(promotion=promotion, actor=actor, person=person, now=clock.now())


def make_live(project: Project) -> Promotion:
    """The first version, brought to production as it should be."""
    return approve(making.waiting(project), making.rita(project))


# --- Doors


def test_no_door_lets_anybody_past(project: Project) -> None:
    """Pages, the API and keys, with everybody's best rights: each is refused, and production stays."""
    make_live(project)
    wendy = making.make_person(project, "wendy", Role.REVIEWER)
    asker = making.make_person(project, "asker", Role.ADMIN)
    version = making.make_version(project, f"{making.GOOD} ", author=wendy)
    making.passed_report(Gate.objects.get(project=project), version)
    waiting = making.ask(version, by=asker)
    assert waiting.state == "waiting", waiting.reasons
    before, number = live_now(project), str(version.number)
    admin = making.owner_of(project)

    def key(person: User | None, *scopes: Scope) -> Api:
        return Api(factories.make_key(project, *(scopes or (Scope.PROMOTIONS,)), created_by=person))

    def decide(person: User) -> Any:
        return page_client(person).post(f"/p/support-desk/promotions/{waiting.number}/decide", {"decision": "approve"})

    approval = f"/api/v1/promotions/{waiting.number}/approve"
    deploying = {"environment": "production", "version": number}
    forged = {**deploying, "evidence_kind": "promotion", "evidence_id": str(waiting.uuid)}
    unseen = {"prompt": "support/answer", "version": number, "environment": "production", "name": "x"}
    files = [{"path": "support/answer.prompt.yaml", "text": FILE.format(number="9.0.0", text="Imported.")}]
    ways: dict[str, Callable[[], Any]] = {
        "the deploy page": lambda: page_client(admin).post(f"{PAGES}/deploy", {**deploying, "confirm": "1"}),
        "the withdraw page": lambda: page_client(admin).post(
            f"{PAGES}/withdraw", {"environment": "production", "confirm": "1"}
        ),
        "the deployments API": lambda: key(admin, Scope.ADMIN).post(f"{PROMPT}/deployments", deploying),
        "the deployments API with evidence": lambda: key(admin, Scope.ADMIN).post(f"{PROMPT}/deployments", forged),
        "a rollback to what was never live": lambda: key(admin, Scope.ADMIN).post(
            f"{PROMPT}/rollback", {"environment": "production", "to": number}
        ),
        "an approval by the requester": lambda: Api(user=asker).post(approval),
        "an approval by a second key of the requester": lambda: (key(asker), key(asker, Scope.ADMIN))[1].post(approval),
        "an approval by a key of the author": lambda: key(wendy).post(approval),
        "an approval by a key of nobody": lambda: key(None).post(approval),
        "an approval by an editor": lambda: Api(user=making.ed(project)).post(approval),
        "an approval by a key without the scope": lambda: key(making.rita(project), Scope.PROMPTS_WRITE).post(approval),
        "the requester on the page": lambda: decide(asker),
        "the author on the page": lambda: decide(wendy),
        "a viewer on the page": lambda: decide(making.make_person(project, "vic", Role.VIEWER)),
        "an import": lambda: key(admin, Scope.PROMPTS_WRITE).post("/api/v1/prompts/import", {"files": files}),
        "an import of many": lambda: key(admin, Scope.PROMPTS_WRITE).post(
            "/api/v1/prompts/import", {"files": files * 20}
        ),
        "a settings API": lambda: key(admin, Scope.ADMIN).patch(PROMPT, {"live": number, "name": "support/answer"}),
        "another promotion for the asking": lambda: key(admin, Scope.ADMIN).post(
            "/api/v1/promotions", {**unseen, "state": "live", "kind": "override"}
        ),
    }
    for name, way in ways.items():
        answer = way()
        assert answer.status_code < 500, name
        assert live_now(project) == before, name
        waiting.refresh_from_db()
        assert (waiting.state, waiting.decisions.count()) == ("waiting", 0), name
    assert key(making.rita(project)).post(approval).status_code == 200
    assert live_now(project)[0][1] == version.pk


def test_there_is_no_other_door(project: Project) -> None:
    """No admin site, and one module of the product that writes what is live."""
    assert not apps.is_installed("django.contrib.admin")
    assert not [one for one in get_resolver().url_patterns if "admin" in str(one.pattern)]
    writers = set()
    for path in (ROOT / "apps").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {
                "Deployment",
                "Deployment.objects.create",
                "Deployment.objects.bulk_create",
                "Deployment.objects.get_or_create",
                "Deployment.objects.update_or_create",
            }:
                writers.add(str(path.relative_to(ROOT)))
    assert writers == {"apps/prompts/services/deploying.py"}


def test_a_merge_in_git_brings_a_version_and_no_release(
    project: Project, alice: User, tmp_path: Path, settings: Any
) -> None:
    """A real repository: the file that claims to be live becomes a version, and at most asks."""
    settings.VAR_DIR = tmp_path / "var"
    making.make_rule(project, asks_on_merge=True)
    done = making.waiting(project)
    approve(done, making.rita(project))
    before = live_now(project)
    with served(tmp_path / "git") as server:
        settings.EGRESS_ALLOW = [f"127.0.0.1:{server.port}"]
        server.write({"README.md": "Prompts."}, "Begin")
        wishes = Wishes(url=server.url, edits="versions")
        git_services.connect(project=project, wishes=wishes, actor=factories.actor_of(alice), now=factories.NOW)
        assert git_services.sync(project.pk, now=factories.NOW + timedelta(minutes=1))
        server.merge("prodworthy/support/answer-1.0.0")
        assert git_services.sync(project.pk, now=factories.NOW + timedelta(minutes=2))
        for number, text in (("9.0.0", "Merged."), ("1.0.0", "The same number, another content.")):
            server.write({"support/answer.prompt.yaml": FILE.format(number=number, text=text)}, f"Release {number}")
            assert git_services.sync(project.pk, now=factories.NOW + timedelta(hours=1))
            merging.ask_for_merges(now=clock.now())
            assert live_now(project) == before
    assert Version.objects.filter(project=project, origin="git").exists()
    assert set(Promotion.objects.exclude(pk=done.pk).values_list("state", flat=True)) <= {"checking", "refused"}


# --- Evidence that does not hold


def stricter(promotion: Promotion) -> None:
    """The gate asks for more."""
    gate = promotion.checks.get().gate
    config = {**gate.config, "minimum_pass_rate": 0.9}
    gates.change_gate(
        gate=gate,
        actor=factories.actor_of(making.owner_of(gate.project)),
        is_admin=True,
        now=clock.now(),
        config=config,
    )


def another_set(promotion: Promotion) -> None:
    """The set has one more example."""
    sets.make_examples(promotion.checks.get().gate.eval_set, [{**making.examples(1)[0], "key": "new"}])


def another_rule(promotion: Promotion) -> None:
    """The rule asks for two people."""
    assert promotion.rule is not None
    making.make_rule(promotion.project, gates=list(promotion.rule.gates.all()), approvals_needed=2)


def no_rule(promotion: Promotion) -> None:
    """There is no rule any more."""
    assert promotion.rule is not None
    promotion.rule.delete()


def archived_gate(promotion: Promotion) -> None:
    """The gate is put away."""
    gate = promotion.checks.get().gate
    gates.archive_gate(gate=gate, actor=factories.actor_of(making.owner_of(gate.project)), now=clock.now())


STALE = {
    "The conditions of the gate changed": stricter,
    "The examples of the set changed": another_set,
    "asks for 2 approvals now": another_rule,
    "There is no release rule": no_rule,
    "The gate is archived": archived_gate,
}


def test_what_changed_after_the_run_voids_the_approval(project: Project) -> None:
    """Threshold, set, rule, gate: the call fails with the reason, the promotion is void, production stays."""
    make_live(project)
    before, rita = live_now(project), making.rita(project)
    promotion = making.waiting(project, f"{making.GOOD} ")
    for reason, change in STALE.items():
        with transaction.atomic():
            change(Promotion.objects.get(pk=promotion.pk))
            with pytest.raises(deciding.PromotionVoid, match=reason):
                approve(promotion, rita)
            assert Promotion.objects.get(pk=promotion.pk).state == "void", reason
            assert live_now(project) == before, reason
            transaction.set_rollback(True)
    assert approve(promotion, rita).state == "live"


@pytest.mark.parametrize("change", ["role", "account", "membership"])
def test_an_approver_who_lost_the_say_before_it_went_live(project: Project, change: str) -> None:
    """The role, the account or the membership is gone when the second approval comes."""
    making.make_rule(project, approvals_needed=2)
    promotion, rita = making.waiting(project), making.rita(project)
    approve(promotion, rita)
    members = Membership.objects.filter(project=project, user=rita)
    if change == "role":
        members.update(role=Role.EDITOR)
    elif change == "account":
        User.objects.filter(pk=rita.pk).update(is_active=False)
    else:
        members.delete()
    with pytest.raises(deciding.PromotionVoid, match="Rita's approval does not count any more"):
        approve(promotion, making.rob(project))
    assert live_now(project) == []


def test_what_no_gate_lets_pass_is_refused_with_its_reason(project: Project) -> None:
    """99 examples where 100 are asked for; 3 % errors; bad content with the number that a good one has elsewhere."""
    few = making.make_gate(project, "few", count=99, minimum_examples=100)
    errors = making.make_gate(project, "errors", count=100)
    good = making.make_version(project, name="other/prompt")
    bad = making.make_version(project, making.BAD)
    assert good.number == bad.number
    for gate, reason, options in ((few, "99", {}), (errors, "3", {"errors": 3})):
        rule = making.make_rule(project, gates=[gate])
        version = making.make_version(project, f"{making.GOOD} {' ' * len(gate.slug)}")
        making.report_of(gate, version, **options)
        promotion = making.ask(version)
        assert promotion.state == "refused"
        assert reason in promotion.reasons[0]
        rule.delete()
    gate = making.make_gate(project)
    making.make_rule(project, gates=[gate])
    making.passed_report(gate, good)
    promotion = making.ask(bad)
    assert promotion.state == "checking"
    making.finish_runs(project)
    checking.settle_checks(now=clock.now())
    promotion.refresh_from_db()
    assert promotion.state == "refused"
    assert "minimum" in promotion.reasons[0] or "%" in promotion.reasons[0]
    with pytest.raises(deciding.NotWaiting):
        approve(promotion, making.rita(project))
    assert not Deployment.objects.exists()


def test_no_arm_without_an_approval(project: Project) -> None:
    """Neither the service nor a row brings a version that nobody approved into an experiment in production."""
    done = make_live(project)
    version = making.make_version(project, making.BAD)
    place = making.environment(project)
    split = Split(
        project=project,
        prompt=done.prompt,
        environment=place,
        experiment="x",
        unit="user",
        salt="x",
        share=5_000,
        actor_kind="user",
        actor_name="x",
    )
    arms = [
        {"name": "a", "version": done.version, "weight": 5_000, "position": 0},
        {"name": "b", "version": version, "weight": 5_000, "position": 1},
    ]

    def serve() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            split.save()
            SplitArm.objects.bulk_create(SplitArm(split=split, **one) for one in arms)
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")

    with pytest.raises(DatabaseError):
        serve()
    assert not Split.objects.exists()
