"""What the jobs of asking take up: checks whose runs ended, and merges that nobody asked a promotion for."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Q

from apps.evals.types import RunState
from apps.projects.models import Environment
from apps.promotions.models import Promotion, PromotionCheck, ReleaseRule
from apps.promotions.selectors.rules import RELATED, is_guarded, rule_for
from apps.promotions.types import CheckState, PromotionState
from apps.prompts.models import Deployment, Version
from apps.prompts.types import Origin

MOST_AT_ONCE = 200
MERGED_WITHIN = timedelta(days=7)
"""A merge that could not be asked for in this time is left to people."""


def list_due_checks() -> list[int]:
    """Promotions in `checking` that have something to be done, the oldest first."""
    waiting = PromotionCheck.objects.filter(promotion=OuterRef("pk"), state=CheckState.WAITING.value)
    ends = [state.value for state in RunState if state.is_end]
    to_do = waiting.filter(Q(run=None) | Q(run__state__in=ends))
    rows = Promotion.objects.filter(state=PromotionState.CHECKING.value)
    rows = rows.filter(Exists(to_do) | ~Exists(waiting))
    return list(rows.order_by("asked_at", "pk").values_list("pk", flat=True)[:MOST_AT_ONCE])


def list_merged(*, now: datetime) -> list[tuple[Version, Environment]]:
    """Versions that came from git since their rule asks for merges, and for which nobody asked yet."""
    found: list[tuple[Version, Environment]] = []
    rules = ReleaseRule.objects.select_related(*RELATED).filter(asks_on_merge=True, asks_since__isnull=False)
    for rule in rules.order_by("pk"):
        if is_guarded(rule.environment):
            found += [(version, rule.environment) for version in _merged_under(rule, now)]
    return found


def _merged_under(rule: ReleaseRule, now: datetime) -> list[Version]:
    asked = Promotion.objects.filter(version=OuterRef("pk"), environment=rule.environment)
    deployed = Deployment.objects.filter(version=OuterRef("pk"), environment=rule.environment)
    rows = Version.objects.select_related("prompt", "prompt__project", "author").filter(
        ~Exists(asked),
        ~Exists(deployed),
        project_id=rule.project_id,
        prompt__archived_at=None,
        origin=Origin.GIT.value,
        published_at__gte=rule.asks_since,
        published_at__gt=now - MERGED_WITHIN,
    )
    if rule.prompt_id is not None:
        rows = rows.filter(prompt_id=rule.prompt_id)
    elif rule.feature:
        rows = rows.filter(prompt__feature=rule.feature)
    return [one for one in rows.order_by("published_at", "pk")[:MOST_AT_ONCE] if _is_for(rule, one)]


def _is_for(rule: ReleaseRule, version: Version) -> bool:
    """False when a more particular rule counts for the version's prompt."""
    counting = rule_for(version.prompt, rule.environment)
    return counting is not None and counting.pk == rule.pk
