"""Asking for promotions: what is refused and why, what waits, and that each candidate is asked for once."""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from apps.alerts.models import Notice
from apps.core import clock
from apps.core.errors import DomainError
from apps.evals.models import EvalRun, Gate, GateReport, Scorer
from apps.evals.selectors.gates import view_of
from apps.evals.services import gates as gate_services
from apps.projects import audit
from apps.projects.models import AuditEntry, Membership, Project, Role
from apps.projects.types import SYSTEM, Actor, Scope
from apps.promotions.models import Promotion, PromotionCheck, PromotionEvent, ReleaseRule
from apps.promotions.selectors.evidence import evidence_problems
from apps.promotions.services import asking, checking, deciding, rules
from apps.promotions.types import PromotionKind, Purpose
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, Version
from tests import factories
from tests.conftest import Api
from tests.evals import making as sets
from tests.promotions import making

pytestmark = pytest.mark.django_db
KEY = Actor(kind="key", id=1, name="ci")


def settled(promotion: Promotion) -> Promotion:
    """Execute what waits, and take it up."""
    making.finish_runs(promotion.project)
    checking.settle_checks(now=clock.now())
    promotion.refresh_from_db()
    return promotion


def test_starts_the_run_that_is_missing_and_waits_when_it_passed(project: Project) -> None:
    making.make_rule(project, approvals_needed=2)
    version = making.make_version(project)
    promotion = making.ask(version, why="Fewer apologies")
    run = EvalRun.objects.get()
    assert (promotion.state, promotion.number, run.state, run.model) == ("checking", 1, "queued", "test/echo")
    assert (promotion.requester, promotion.live_before) == (making.ed(project), None)
    assert promotion.content_hash == version.content_hash
    said = promotion.rule_said
    assert (said["approvals_needed"], said["gates"][0]["minimum_examples"], said["gates"][0]["is_lowered"]) == (
        2,
        4,
        True,
    )
    assert promotion.changes == ["It is the first version here: 1.0.0 on test/echo."]
    assert checking.settle_checks(now=clock.now()) == 0
    making.finish_run(run)
    assert [checking.settle_checks(now=clock.now()) for _ in range(2)] == [1, 0]
    promotion.refresh_from_db()
    check = promotion.checks.get()
    assert (promotion.state, check.state, promotion.reasons) == ("waiting", "passed", [])
    assert check.report is not None
    assert check.report.bound_to["content"] == version.content_hash
    assert evidence_problems(promotion) == ()
    assert list(PromotionEvent.objects.values_list("kind", flat=True)) == ["asked", "waiting"]
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"promotions.asked", "promotions.waiting"}
    assert Notice.objects.get().role == "reviewer"
    assert making.ask(version, model="test/echo").pk == promotion.pk, "its own model is no other candidate"
    assert EvalRun.objects.count() == 1


def test_takes_what_is_proven_already(project: Project) -> None:
    rule = making.make_rule(project)
    version = making.make_version(project)
    report = making.passed_report(rule.gates.get(), version)
    promotion = making.ask(version)
    assert (promotion.state, promotion.checks.get().report) == ("waiting", report)
    assert EvalRun.objects.count() == GateReport.objects.count() == 1
    other = making.ask(version, model="test/steady")
    run = other.checks.get().run
    assert run is not None
    assert (other.state, other.number, run.model) == ("checking", 2, "test/steady")
    assert settled(other).state == "waiting"


@pytest.mark.parametrize(
    ("count", "minimum", "errors", "failed"),
    [(99, 100, 0, {"examples"}), (100, 97, 3, {"errors", "not_scored:exact"}), (100, 97, 2, set())],
    ids=["99 examples of 100", "3 % of the calls failed", "2 % of the calls failed"],
)
def test_the_real_gate_decides(project: Project, count: int, minimum: int, errors: int, failed: set[str]) -> None:
    gate = making.make_gate(project, count=count, minimum_examples=minimum, by="interval", minimum_pass_rate=0.8)
    making.make_rule(project, gates=[gate])
    promotion = making.ask(making.make_version(project))
    assert making.finish_runs(project, errors=errors) == 1
    checking.settle_checks(now=clock.now())
    promotion.refresh_from_db()
    report = promotion.checks.get().report
    assert report is not None
    assert {one.name for one in view_of(report).open} == failed, report.conditions
    assert promotion.state == ("refused" if failed else "waiting")
    assert bool(promotion.reasons) == bool(failed)


# --- Refused, with reasons


def without_a_rule(project: Project) -> None:
    """Nobody set one."""


def without_gates(project: Project) -> None:
    """A rule whose gates somebody took away past the service."""
    making.make_rule(project).gates.clear()


def with_an_archived_scorer(project: Project) -> None:
    """The gate's scorer cannot be used any more."""
    making.make_rule(project)
    Scorer.objects.filter(project=project).update(archived_at=factories.NOW)


def with_an_archived_gate(project: Project) -> None:
    """The gate judges nothing any more."""
    rule = making.make_rule(project)
    gate_services.archive_gate(gate=rule.gates.get(), actor=SYSTEM, now=factories.NOW)


def with_an_empty_set(project: Project) -> None:
    """The gate's set has no example."""
    making.make_rule(project, gates=[making.make_gate(project, eval_set=sets.make_set(project, "empty"))])


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (without_a_rule, "no release rule"),
        (without_gates, "names no gate"),
        (with_an_archived_scorer, "could not be run: "),
        (with_an_archived_gate, "The gate ship is archived."),
        (with_an_empty_set, "has no examples"),
    ],
)
def test_never_passes_by_being_empty(project: Project, prepare: Callable[[Project], None], reason: str) -> None:
    prepare(project)
    promotion = making.ask(making.make_version(project))
    assert (promotion.state, reason in " ".join(promotion.reasons)) == ("refused", True), promotion.reasons
    assert evidence_problems(promotion)
    assert Notice.objects.get().level == "warn"
    assert EvalRun.objects.count() == 0


def test_a_refused_one_is_checked_anew(project: Project) -> None:
    version = making.make_version(project, making.BAD)
    promotion = making.ask(version)
    assert promotion.state == "refused"
    rule = making.make_rule(project)
    assert (
        asking.recheck(promotion=promotion, actor=KEY, person=making.rita(project), now=clock.now()).state == "checking"
    )
    assert settled(promotion).state == "refused"
    assert promotion.reasons[0].startswith("Ship was not passed: ")
    assert making.ask(version).reasons == promotion.reasons, "the same evidence gives the same answer"
    assert (EvalRun.objects.count(), GateReport.objects.count(), Promotion.objects.count()) == (1, 1, 1)
    gate = rule.gates.get()
    config = {**gate.config, "scorers": [{"slug": "exact", "threshold": 0.0}]}
    gate_services.change_gate(gate=gate, config=config, actor=SYSTEM, is_admin=True, now=clock.now())
    again = making.ask(version)
    assert (again.pk, again.state, again.requester) == (promotion.pk, "waiting", making.ed(project))
    assert (EvalRun.objects.count(), GateReport.objects.count()) == (1, 2), "the run holds, its verdict did not"


# --- Evidence that does not hold any more


def changed_conditions(promotion: Promotion) -> None:
    """Another threshold after the run."""
    gate = promotion.checks.get().gate
    config = {**gate.config, "minimum_pass_rate": 0.6}
    gate_services.change_gate(gate=gate, config=config, actor=SYSTEM, is_admin=True, now=clock.now())


def changed_examples(promotion: Promotion) -> None:
    """One more example in the set."""
    sets.make_examples(promotion.checks.get().gate.eval_set, making.examples(5)[4:])


def changed_rule(promotion: Promotion) -> None:
    """More approvals."""
    making.make_rule(promotion.project, gates=[promotion.checks.get().gate], approvals_needed=3)


def another_gate(promotion: Promotion) -> None:
    """Another gate besides."""
    gate = promotion.checks.get().gate
    making.make_rule(promotion.project, gates=[gate, making.make_gate(promotion.project, "safe")])


def more_particular_rule(promotion: Promotion) -> None:
    """A rule for the prompt itself."""
    making.make_rule(promotion.project, promotion.prompt, gates=[promotion.checks.get().gate])


def removed_rule(promotion: Promotion) -> None:
    """No rule at all."""
    rules.remove_rule(rule=ReleaseRule.objects.get(), actor=SYSTEM, now=clock.now())


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (changed_conditions, "conditions of the gate changed"),
        (changed_examples, "examples of the set changed"),
        (changed_rule, "3 approvals"),
        (another_gate, "other gates"),
        (more_particular_rule, "the prompt support/answer"),
        (removed_rule, "no release rule"),
    ],
)
def test_says_what_does_not_hold_any_more(project: Project, change: Callable[[Promotion], None], reason: str) -> None:
    promotion = making.waiting(project)
    change(promotion)
    promotion.refresh_from_db()
    assert any(reason in one for one in evidence_problems(promotion)), evidence_problems(promotion)
    anew = asking.recheck(promotion=promotion, actor=KEY, person=making.rob(project), now=clock.now())
    promotion.refresh_from_db()
    assert promotion.state == "void"
    assert (anew.number, anew.requester, anew.version) == (2, making.rob(project), promotion.version)
    assert settled(anew).state == ("refused" if change is removed_rule else "waiting"), anew.reasons


def test_no_verdict_counts_that_somebody_made_easier(project: Project) -> None:
    """A report with a baseline of one's choice, a run of a part of the set, or of brought outputs."""
    gate = making.make_gate(project, baseline={"kind": "none"})
    making.make_rule(project, gates=[gate])
    weak = making.report_of(gate, making.make_version(project, making.BAD)).run
    version = making.make_version(project)
    run = making.finish_run(making.start_run(gate, version))
    chosen = gate_services.check_gate(gate=gate, run=run, actor=KEY, now=clock.now(), baseline=weak)
    promotion = making.ask(version)
    report = promotion.checks.get().report
    assert report is not None
    assert (report.run, report.baseline, report == chosen) == (run, None, False)


# --- Who may ask for what


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("viewer", "may_not_ask"),
        ("stranger", "may_not_ask"),
        ("key of somebody who left", "may_not_ask"),
        ("nobody", "may_not_ask"),
        ("staging", "not_protected"),
        ("version of another prompt", "invalid"),
        ("archived", "prompt_archived"),
        ("override without a reason", "invalid"),
    ],
)
def test_refuses_what_makes_no_sense(project: Project, fault: str, code: str) -> None:
    version = making.make_version(project)
    making.make_rule(project)
    person = making.make_person(project, "vera", Role.VIEWER if fault == "viewer" else Role.EDITOR)
    asked = {"prompt": version.prompt, "version": version, "environment": making.environment(project)}
    told: dict[str, object] = {"actor": factories.actor_of(person), "person": person, "now": clock.now()}
    if fault in ("stranger", "key of somebody who left"):
        Membership.objects.filter(user=person).delete()
        told["actor"] = KEY if fault.startswith("key") else told["actor"]
    elif fault == "nobody":
        told["person"] = None
    elif fault == "staging":
        asked["environment"] = making.environment(project, "staging")
    elif fault == "version of another prompt":
        asked["version"] = making.make_version(project, name="other")
    elif fault == "archived":
        prompts.archive_prompt(prompt=version.prompt, actor=SYSTEM, now=clock.now())
    elif fault == "override without a reason":
        told["kind"] = PromotionKind.OVERRIDE
    with pytest.raises(DomainError) as refused:
        asking.ask(**asked, **told)  # type: ignore[arg-type]
    assert refused.value.code == code
    assert Promotion.objects.count() == EvalRun.objects.count() == 0


def test_an_override_takes_the_place_of_what_is_refused(project: Project) -> None:
    version = making.make_version(project, making.BAD)
    refused = making.ask(version)
    override = making.ask(version, by=making.rita(project), kind=PromotionKind.OVERRIDE, why="The shop is down")
    refused.refresh_from_db()
    assert (refused.state, override.state, override.checks.count()) == ("withdrawn", "waiting", 0)
    assert evidence_problems(override) == ()
    with pytest.raises(asking.OverrideOpen):
        making.ask(version)
    arm = making.ask(version, purpose=Purpose.EXPERIMENT)
    assert (arm.state, arm.number) == ("refused", 3)


def test_whoever_made_the_key_is_the_author(project: Project) -> None:
    rita = making.rita(project)
    key = factories.make_key(project, Scope.PROMPTS_WRITE, created_by=rita)
    body = {"name": "by/key", "content": {"messages": [{"role": "user", "content": "Hi"}]}}
    assert Api(key).post("/api/v1/prompts", body).status_code == 201
    assert Version.objects.get().author == rita


# --- Many at once

ACTS = ["ask", "ask", "settle", "approve", "approve", "recheck", "gate", "rename", "rule"]


def together(count: int, act: Callable[[int], None]) -> None:
    """Let so many threads begin at the same moment."""
    gate = threading.Barrier(count)
    faults: list[BaseException] = []

    def one(place: int) -> None:
        try:
            gate.wait(timeout=20)
            act(place)
        except BaseException as error:
            faults.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=one, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert not faults, faults


@pytest.mark.django_db(transaction=True)
def test_a_race_of_asks_makes_one_promotion(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)  # nobody executes the run on the spot
    making.make_rule(project)
    version = making.make_version(project)
    people = [making.ed(project), making.rita(project), making.rob(project), making.owner_of(project)]
    found: list[int] = []
    together(8, lambda place: found.append(making.ask(version, by=people[place % 4]).pk))
    promotion = Promotion.objects.get()
    assert (found, promotion.number) == ([promotion.pk] * 8, 1)
    assert EvalRun.objects.count() == PromotionCheck.objects.count() == 1
    making.finish_runs(project)
    left: list[int] = []
    together(2, lambda _: left.append(checking.settle_checks(now=clock.now() + timedelta(seconds=1))))
    promotion.refresh_from_db()
    assert (promotion.state, sum(left)) == ("waiting", 1)
    assert list(PromotionEvent.objects.values_list("kind", flat=True)) == ["asked", "waiting"]
    assert (GateReport.objects.count(), Notice.objects.count(), Gate.objects.count()) == (1, 1, 1)


@pytest.mark.django_db(transaction=True)
def test_nobody_holds_up_the_others(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking, deciding and changing what that rests on, at once: no deadlock, and nothing but plain answers."""
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)
    gate = making.make_rule(project).gates.get()
    versions = [making.make_version(project, f"{making.GOOD}{' ' * place}") for place in range(4)]
    for version in versions:
        making.report_of(gate, version)
    ed, rita, rob = making.ed(project), making.rita(project), making.rob(project)

    def act(dice: random.Random, word: str) -> None:
        now, version = clock.now(), dice.choice(versions)
        found = Promotion.objects.exclude(requester=rita).order_by("?").first()
        if word == "ask":
            making.ask(version, by=dice.choice([ed, rob]))
        elif word == "settle":
            checking.settle_checks(now=now)
        elif word == "approve" and found is not None:
            deciding.approve(promotion=found, actor=factories.actor_of(rita), person=rita, now=now)
        elif word == "recheck" and found is not None:
            asking.recheck(promotion=found, actor=factories.actor_of(rob), person=rob, now=now)
        elif word == "gate":
            config = {**gate.config, "minimum_pass_rate": dice.choice([0.4, 0.5])}
            gate_services.change_gate(gate=gate, config=config, actor=SYSTEM, is_admin=True, now=now)
        elif word == "rename":
            prompts.rename_prompt(prompt=version.prompt, name=f"called/{dice.random()}", actor=SYSTEM, now=now)
        elif word == "rule":
            making.make_rule(project, gates=[gate], watch_hours=dice.choice([1, 2]))

    def one(place: int) -> None:
        dice = random.Random(place)
        for _ in range(8):
            with contextlib.suppress(DomainError):  # a plain answer, such as that it is void
                act(dice, dice.choice(ACTS))

    together(6, one)
    live = Deployment.objects.filter(ended_at=None)
    assert live.count() == Promotion.objects.filter(state="live", deployment__in=live).count() <= 1
    assert not audit.verify_chain(project.pk).problems
