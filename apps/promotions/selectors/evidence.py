"""Whether the evidence of a promotion holds for what is there now, and which report would be evidence."""

from __future__ import annotations

from apps.evals.models import Gate, GateReport
from apps.evals.selectors import gate_evidence
from apps.evals.selectors.gates import config_of
from apps.evals.services import gates
from apps.evals.types import GateVerdict, RunKind, RunState
from apps.projects.models import Environment
from apps.promotions.models import Promotion, PromotionCheck
from apps.promotions.selectors import rules
from apps.promotions.types import CheckState, PromotionKind
from apps.prompts.models import Deployment, Prompt, Version

LOOKED_THROUGH = 20
"""Reports of one gate and content, newest first."""


def evidence_problems(promotion: Promotion) -> tuple[str, ...]:
    """Every reason why the promotion's evidence does not hold now, as sentences; empty when all of it does.

    Reads alone, so it may be asked inside of the transaction that decides, under its locks. An override has no gates
    to pass: of it only what is asked for and what is live are looked at.
    """
    version = Version.objects.get(pk=promotion.version_id)
    problems = [*_of_content(promotion, version), *_of_live(promotion)]
    if promotion.kind != PromotionKind.OVERRIDE.value:
        problems += [*_of_rule(promotion), *_of_checks(promotion, version)]
    return tuple(problems)


def live_in(prompt: Prompt, environment: Environment) -> Deployment | None:
    """What is live of the prompt there."""
    rows = Deployment.objects.select_related("version").filter(prompt=prompt, environment=environment, ended_at=None)
    return rows.first()


def answering_model(version: Version, model: str) -> str | None:
    """The model that would answer: the one asked for, else the version's own; None when callers choose."""
    return model or version.body.model or None


def find_report(gate: Gate, version: Version, model: str) -> GateReport | None:
    """The newest verdict of the gate on exactly this content, model and parameters that holds now; None: judge anew.

    The model must have been asked by the product, for outputs that are brought along prove no content, and the
    baseline must be the one that the gate's conditions name at this moment.
    """
    rows = GateReport.objects.select_related("gate", "gate__eval_set", "gate__project", "run")
    rows = rows.filter(
        gate=gate,
        run__version__prompt_id=version.prompt_id,
        run__kind=RunKind.MODEL.value,
        run__state=RunState.FINISHED.value,
        bound_to__content=version.content_hash,
    )
    for report in rows.order_by("-made_at", "-pk")[:LOOKED_THROUGH]:
        if not report_problems(report, version, model):
            return report if _has_right_baseline(report) else None
    return None


def report_problems(report: GateReport, version: Version, model: str) -> tuple[str, ...]:
    """Why the report does not hold for the version on this model now."""
    current = gates.is_current(
        report,
        content_hash=version.content_hash,
        model=answering_model(version, model),
        parameters=version.body.parameters,
    )
    return current.why


def _has_right_baseline(report: GateReport) -> bool:
    """False when another run is to be compared with by now, or somebody chose one that is easier to beat."""
    found = gate_evidence.baseline_for(report.gate, config_of(report.gate), report.run)
    return report.baseline_id == (None if found.run is None else found.run.pk)


def _of_content(promotion: Promotion, version: Version) -> list[str]:
    if version.content_hash != promotion.content_hash:
        return ["The version says something else than what was asked for."]
    return []


def _of_live(promotion: Promotion) -> list[str]:
    live = live_in(promotion.prompt, promotion.environment)
    if (None if live is None else live.pk) == promotion.live_before_id:
        return []
    if live is None:
        return [f"What was live in {promotion.environment.slug} when it was checked is not live any more."]
    since = f"{live.version.number} went live in {promotion.environment.slug} since it was checked"
    return [f"{since}, and it was not compared with that."]


def _of_rule(promotion: Promotion) -> list[str]:
    rule = rules.rule_for(promotion.prompt, promotion.environment)
    if rule is None:
        return [f"There is no release rule for {promotion.prompt.name} in {promotion.environment.slug}."]
    said = rules.said_of(rule)
    if not said.gates:
        return ["The release rule names no gate."]
    if rule.pk != promotion.rule_id:
        return [f"Another release rule counts for it now: the one for {said.scope}."]
    if said.hash == promotion.rule_hash:
        return []
    before = {one["uuid"] for one in promotion.rule_said.get("gates", [])}
    if before != {one.uuid for one in said.gates}:
        return ["The release rule names other gates than when it was checked."]
    return [f"The release rule asks for {said.approvals_needed} approvals now."]


def _of_checks(promotion: Promotion, version: Version) -> list[str]:
    rows = promotion.checks.select_related("gate", "report", "report__gate", "report__gate__eval_set")
    checks = list(rows.select_related("report__gate__project").order_by("gate__name", "pk"))
    if not checks:
        return ["No gate was passed."]
    said = {one["uuid"] for one in promotion.rule_said.get("gates", [])}
    problems = [] if {str(one.gate.uuid) for one in checks} == said else ["Not every gate of the rule was checked."]
    for check in checks:
        problems += [f"{check.gate.name}: {fault}" for fault in _of_check(check, version, promotion.model)]
    return problems


def _of_check(check: PromotionCheck, version: Version, model: str) -> list[str]:
    report = check.report
    if report is None:
        return ["There is no report yet."]
    if check.state != CheckState.PASSED.value or report.verdict != GateVerdict.PASSED.value:
        return ["It was not passed."]
    return list(report_problems(report, version, model))
