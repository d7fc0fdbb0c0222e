"""The history of a promotion: one sentence for each thing that happened to it."""

from __future__ import annotations

from datetime import datetime

from apps.projects.types import Actor
from apps.promotions.models import Promotion, PromotionEvent


def note(*, promotion: Promotion, kind: str, sentence: str, actor: Actor, now: datetime) -> PromotionEvent:
    """Add a line, with the state that the promotion is in now. The transaction is the caller's."""
    return PromotionEvent.objects.create(
        promotion=promotion,
        kind=kind[:32],
        state=promotion.state,
        sentence=sentence,
        actor_name=actor.name[:254],
        at=now,
    )
