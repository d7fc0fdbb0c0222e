"""Checks of promotions: runs are started where none is there, reports taken up, and then it waits or is refused.

Any number of workers may be at it: what a step does it does once, under the lock of the promotion. Each gate has a
transaction of its own, because starting a run and judging one lock rows of evals and the audit trail.
"""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import transaction

from apps.alerts.services import notices
from apps.core.errors import DomainError
from apps.core.navigation import address
from apps.evals.models import EvalRun, EvalSet, Gate, GateReport
from apps.evals.selectors.gates import view_of
from apps.evals.services import gates
from apps.evals.services.runs import TooManyRuns
from apps.evals.types import GateVerdict, RunSource, RunState
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import SYSTEM, Actor
from apps.promotions.models import Promotion, PromotionCheck, ReleaseRule
from apps.promotions.selectors import evidence
from apps.promotions.selectors.due_checks import list_due_checks
from apps.promotions.services import history
from apps.promotions.types import CandidateName, CheckState, PromotionOrigin, PromotionState

log = logging.getLogger(__name__)

SOURCES = {
    PromotionOrigin.PAGE: RunSource.PAGE,
    PromotionOrigin.API: RunSource.API,
    PromotionOrigin.CLI: RunSource.CLI,
    PromotionOrigin.GIT: RunSource.SCHEDULE,
    PromotionOrigin.EXPERIMENT: RunSource.PAGE,
    PromotionOrigin.SAMPLE: RunSource.SAMPLE,
}
VERDICTS = {
    GateVerdict.PASSED: CheckState.PASSED,
    GateVerdict.FAILED: CheckState.FAILED,
    GateVerdict.CANNOT_TELL: CheckState.CANNOT_TELL,
}


def settle_checks(*, now: datetime) -> int:
    """Take up promotions whose runs ended, or whose checks were not begun; how many left `checking`."""
    return sum(_settle_or_log(pk, now) for pk in list_due_checks())


def _settle_or_log(pk: int, now: datetime) -> bool:
    try:
        return settle(pk, actor=SYSTEM, now=now)
    except Exception:
        # One that cannot be settled must not hold up the others; it is tried again with the next look.
        log.exception("promotion %s could not be settled", pk)
        return False


def settle(pk: int, *, actor: Actor, now: datetime) -> bool:
    """Begin what was not begun, take up what ended, and say how it went when every gate has spoken.

    True when it left `checking` by this call.
    """
    waiting = PromotionCheck.objects.filter(
        promotion_id=pk, state=CheckState.WAITING.value, promotion__state=PromotionState.CHECKING.value
    )
    for check in waiting.order_by("gate__name", "pk").values_list("pk", flat=True):
        _begin(check, actor, now)
        _judge(check, now)
    return _conclude(pk, now)


# --- One gate


@transaction.atomic
def _begin(pk: int, actor: Actor, now: datetime) -> None:
    """Find the gate's report on the candidate, or else the run to wait for, which is started when there is none."""
    project = Project.objects.select_for_update(no_key=True, of=("self",)).filter(promotions__checks__pk=pk)
    check = _held(pk) if project.first() is not None else None
    if check is None or check.run is not None:
        return
    try:
        with transaction.atomic():
            report = evidence.find_report(check.gate, check.promotion.version, check.promotion.model)
            run = _run_for(check, actor, now) if report is None else report.run
    except TooManyRuns:
        return  # There will be room.
    except DomainError as error:
        _keep_problem(check, error)
        return
    _keep(check, run, report)


@transaction.atomic
def _judge(pk: int, now: datetime) -> None:
    """Take up the report on the run, once that has ended."""
    check = _held(pk)
    if check is None or check.run is None or not RunState(check.run.state).is_end:
        return
    try:
        with transaction.atomic():
            report = _report_on(check, check.run, now)
    except DomainError as error:
        _keep_problem(check, error)
        return
    _keep(check, check.run, report)


def _held(pk: int) -> PromotionCheck | None:
    """The check, with its promotion locked; None when it is not waiting any more."""
    promotion = Promotion.objects.select_for_update(no_key=True, of=("self",))
    if promotion.filter(checks__pk=pk, state=PromotionState.CHECKING.value).first() is None:
        return None
    rows = PromotionCheck.objects.select_related(
        "run", "gate__project", "gate__eval_set", "promotion__version", "promotion__prompt"
    )
    return rows.filter(pk=pk, state=CheckState.WAITING.value).first()


def _keep(check: PromotionCheck, run: EvalRun, report: GateReport | None) -> None:
    state = CheckState.WAITING if report is None else VERDICTS[GateVerdict(report.verdict)]
    PromotionCheck.objects.filter(pk=check.pk).update(run=run, report=report, state=state.value)


def _keep_problem(check: PromotionCheck, error: DomainError) -> None:
    PromotionCheck.objects.filter(pk=check.pk).update(state=CheckState.CANNOT_TELL.value, problem=error.text)


def _run_for(check: PromotionCheck, actor: Actor, now: datetime) -> EvalRun:
    """The gate's run of the candidate. On the version's own model, where it names one, whatever the gate prefers."""
    promotion = check.promotion
    model = evidence.answering_model(promotion.version, promotion.model) or ""
    candidate = gates.Candidate(promotion.prompt.name, promotion.version, model)
    source = SOURCES[PromotionOrigin(promotion.origin)]
    return gates.run_for(gate=check.gate, candidate=candidate, actor=actor, source=source, now=now)


def _report_on(check: PromotionCheck, run: EvalRun, now: datetime) -> GateReport:
    """The gate's verdict on the run that ended: the one that is there if it holds now, else a new one."""
    found = evidence.find_report(check.gate, check.promotion.version, check.promotion.model)
    if found is not None and found.run_id == run.pk:
        return found
    return gates.check_gate(gate=check.gate, run=run, actor=SYSTEM, now=now)


# --- All of them


@transaction.atomic
def _conclude(pk: int, now: datetime) -> bool:
    """Waiting or refused, once every gate has spoken; False while one has not, or somebody else was first."""
    promotion = _locked_in(pk, PromotionState.CHECKING)
    if promotion is None:
        return False
    checks = list(promotion.checks.select_related("gate", "report", "run").order_by("gate__name", "pk"))
    if any(check.state == CheckState.WAITING.value for check in checks):
        return False
    hold_evidence(promotion)
    reasons = _reasons(promotion, checks) or list(evidence.evidence_problems(promotion))
    state = PromotionState.REFUSED if reasons else PromotionState.WAITING
    move(promotion, PromotionState.CHECKING, state, reasons=reasons, checked_at=now)
    if reasons:
        sentence = f"It is refused. {' '.join(reasons)}"
    else:
        names = ", ".join(check.gate.name for check in checks)
        sentence = f"It passed {names} and waits for a decision."
    kind = "refused" if reasons else "waiting"
    history.note(promotion=promotion, kind=kind, sentence=sentence, actor=SYSTEM, now=now)
    _record(promotion, f"promotions.{kind}", SYSTEM, now, reasons)
    _tell(promotion, kind, sentence, now)
    return True


def _reasons(promotion: Promotion, checks: list[PromotionCheck]) -> list[str]:
    """Why it is refused, gate by gate."""
    where = f"{promotion.prompt.name} in {promotion.environment.slug}"
    if promotion.rule is None:
        return [f"There is no release rule for {where}. Ask an admin to set one with at least one gate."]
    if not checks:
        return [f"The release rule for {where} names no gate. Ask an admin to add one."]
    reasons = []
    for check in checks:
        if check.report is not None and check.state != CheckState.PASSED.value:
            view = view_of(check.report)
            verb = "was not passed" if check.state == CheckState.FAILED.value else "cannot tell"
            told = " ".join(one.sentence for one in view.open) or view.sentence
            reasons.append(f"{check.gate.name} {verb}: {told}")
        elif check.state != CheckState.PASSED.value:
            reasons.append(f"{check.gate.name} could not be run: {check.problem}")
    return reasons


@transaction.atomic
def make_void(pk: int, *, actor: Actor, now: datetime) -> bool:
    """Void what waits although its evidence does not hold any more; False when it holds, or it does not wait."""
    promotion = _locked_in(pk, PromotionState.WAITING)
    if promotion is not None:
        hold_evidence(promotion)
    reasons = [] if promotion is None else list(evidence.evidence_problems(promotion))
    if promotion is None or not reasons:
        return False
    move(promotion, PromotionState.WAITING, PromotionState.VOID, reasons=reasons, decided_at=now)
    sentence = f"It is void, and nothing went live. {' '.join(reasons)}"
    history.note(promotion=promotion, kind="voided", sentence=sentence, actor=actor, now=now)
    _record(promotion, "promotions.voided", actor, now, reasons)
    return True


def hold_evidence(promotion: Promotion) -> None:
    """Let rule, gates and examples stay as they are until the transaction ends. The promotion is locked before."""
    if promotion.rule_id is not None:
        list(ReleaseRule.objects.select_for_update(no_key=True).filter(pk=promotion.rule_id).values_list("pk"))
    checked = Gate.objects.select_for_update(no_key=True, of=("self",)).filter(pk__in=promotion.checks.values("gate"))
    sets = {gate.eval_set_id for gate in checked.order_by("pk")}
    list(EvalSet.objects.select_for_update(no_key=True).filter(pk__in=sets).order_by("pk").values_list("pk"))


def _locked_in(pk: int, state: PromotionState) -> Promotion | None:
    rows = Promotion.objects.select_for_update(no_key=True, of=("self",))
    rows = rows.select_related("project", "prompt", "environment", "version", "rule")
    return rows.filter(pk=pk, state=state.value).first()


def move(promotion: Promotion, before: PromotionState, after: PromotionState, **fields: object) -> bool:
    """Bring it from one state into another; False when it was not in the first one."""
    moved = Promotion.objects.filter(pk=promotion.pk, state=before.value).update(state=after.value, **fields)
    if moved:
        promotion.state = after.value
        for name, value in fields.items():
            setattr(promotion, name, value)
    return bool(moved)


def name_of(promotion: Promotion) -> CandidateName:
    """What it asks for, in words."""
    return CandidateName(promotion.prompt.name, str(promotion.version.number), promotion.model)


def named(promotion: Promotion) -> dict[str, audit.Detail]:
    """What an audit entry says of every promotion."""
    return {
        "candidate": str(name_of(promotion)),
        "environment": promotion.environment.slug,
        "content": promotion.content_hash,
        "kind": promotion.kind,
        "purpose": promotion.purpose,
        "requester": promotion.requester_name,
    }


def _record(promotion: Promotion, action: str, actor: Actor, now: datetime, reasons: list[str]) -> None:
    details = named(promotion) | {"reasons": reasons}
    audit.record(actor=actor, action=action, project=promotion.project, target=promotion, at=now, details=details)


def _tell(promotion: Promotion, kind: str, sentence: str, now: datetime) -> None:
    """Reviewers are told what waits for them, editors what was refused; each time anew."""
    place = address("promotions", promotion.project.slug)
    is_waiting = kind == "waiting"
    what = "waits for a decision" if is_waiting else "is refused"
    notices.notify(
        project=promotion.project,
        key=f"promotion-{promotion.uuid}-{kind}-{now.isoformat()}",
        kind=f"promotion_{kind}",
        title=f"{name_of(promotion)} for {promotion.environment.slug} {what}",
        text=sentence,
        path=f"{place}/{promotion.number}" if place else "",
        role="reviewer" if is_waiting else "editor",
        level="info" if is_waiting else "warn",
        now=now,
    )
