"""What a promotion's page says besides its rows: its sentence, what would change, time and money."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from apps.core.errors import NotFound
from apps.evals.models import EvalRun
from apps.evals.selectors.gates import ReportView
from apps.evals.selectors.runs import summary_of
from apps.evals.types import GateVerdict
from apps.promotions.deciding import Standing
from apps.promotions.models import FollowUp, Promotion
from apps.promotions.promotion_words import Facts, Figure, Use, figures
from apps.promotions.selectors.decisions import approvals_needed
from apps.promotions.selectors.promotions import CheckView, PromotionLine, TrailLine, undo_seconds
from apps.promotions.types import CheckState, DecisionKind, PromotionKind, PromotionState, Purpose
from apps.prompts import diff_lines
from apps.prompts.models import Version


def facts_of(
    promotion: Promotion,
    checks: Sequence[CheckView],
    trail: Sequence[TrailLine] = (),
    standing: Standing | None = None,
    *,
    may_decide: bool = False,
) -> Facts:
    """What the promotion's sentence is made of."""
    reports = [one.report for one in checks if one.report is not None]
    conditions = [one for report in reports for one in report.conditions]
    open_ones = [one for one in conditions if one.state is not GateVerdict.PASSED]
    decisions = [line for line in trail if line.what == "decision"]
    rejection = next((line for line in decisions if line.kind == DecisionKind.REJECTED.value), None)
    return Facts(
        state=PromotionState(promotion.state),
        kind=PromotionKind(promotion.kind),
        purpose=Purpose(promotion.purpose),
        environment=promotion.environment.slug,
        gates=len(checks),
        answered=sum(one.state is not CheckState.WAITING for one in checks),
        conditions=len(conditions),
        met=len(conditions) - len(open_ones),
        first_open=_worst(open_ones[0]) if open_ones else "",
        reasons=promotion.reasons,
        approvals=sum(line.kind == DecisionKind.APPROVED.value for line in decisions),
        needed=approvals_needed(promotion),
        may_decide=may_decide,
        has_decided=standing is not None and standing.has_decided,
        is_live_now=promotion.deployment is not None and promotion.deployment.ended_at is None,
        decided_by=rejection.by if rejection else "",
    )


def _worst(condition: Any) -> str:
    number, target = condition.shown_number, condition.shown_target
    return f"{condition.title} {number}, target {target}" if number and target else condition.sentence


def facts_of_line(line: PromotionLine) -> Facts:
    """The same from what lists know."""
    promotion = line.promotion
    return Facts(
        state=line.state,
        kind=PromotionKind(promotion.kind),
        purpose=Purpose(promotion.purpose),
        environment=promotion.environment.slug,
        gates=line.gates,
        answered=sum(one.state is not CheckState.WAITING for one in line.checks),
        conditions=line.gates,
        met=line.passed,
        reasons=promotion.reasons,
        approvals=line.approvals,
        needed=line.needed,
        may_decide=line.is_mine,
        is_live_now=promotion.deployment is not None and promotion.deployment.ended_at is None,
    )


def asker_of(promotion: Promotion) -> str:
    """Who asked: the person by name, a key by its own."""
    person = promotion.requester
    return str(person) if person is not None and promotion.requester_kind == "user" else promotion.requester_name


def undo_ms(promotion: Promotion) -> float | None:
    """Milliseconds that the prompt's last rollback or rehearsal took; None when none was measured."""
    seconds = undo_seconds(promotion)
    return None if seconds is None else seconds * 1000


def model_of(version: Version, model: str) -> str:
    """The model that answers: the one in its place, else the version's own."""
    return model or version.body.model


def changes_of(promotion: Promotion, *, split: bool = False) -> dict[str, Any]:
    """What differs from what was live, as the templates of prompts show it; `difference` is None for a first one."""
    before = promotion.live_before
    told: dict[str, Any] = {
        "shape": "split" if split else "unified",
        "model": model_of(promotion.version, promotion.model),
        "model_before": None,
        "difference": None,
    }
    if before is None:
        return told
    told["model_before"] = model_of(before.version, before.model)
    told["difference"] = diff_lines.shown(before.version.body, promotion.version.body)
    return told


def figures_of(checks: Sequence[CheckView]) -> tuple[Figure, ...]:
    """Time and money of the first report's run against its baseline; empty without a report that has figures."""
    for one in checks:
        if one.report is not None:
            found = _figures(one.report)
            if found:
                return found
    return ()


def _figures(view: ReportView) -> tuple[Figure, ...]:
    baseline = view.report.baseline
    return figures(_use(view.report.run), None if baseline is None else _use(baseline))


def _use(run: EvalRun) -> Use | None:
    summary = summary_of(run)
    if summary is None:
        return None
    cost, written = summary.cost, summary.cost.output_tokens
    tokens = written / summary.answered if written is not None and summary.answered else None
    return Use(summary.latency.p50, summary.latency.p99, cost.per_answer_usd, tokens)


def follow_up_of(promotion: Promotion) -> FollowUp:
    """The review that the promotion owes. Raises NotFound."""
    found: FollowUp | None = getattr(promotion, "follow_up", None)
    if found is None:
        raise NotFound("This promotion owes no review.")
    return found
