"""The tables of promotions."""

from apps.promotions.models.experiments import (
    Experiment,
    ExperimentArm,
    ExperimentCount,
    ExperimentLook,
    Exposure,
)
from apps.promotions.models.promotions import (
    Decision,
    FollowUp,
    Promotion,
    PromotionCheck,
    PromotionComment,
    PromotionEvent,
)
from apps.promotions.models.rollbacks import Drill, Rollback
from apps.promotions.models.rules import ReleaseRule
from apps.promotions.models.watches import Watch

__all__ = [
    "Decision",
    "Drill",
    "Experiment",
    "ExperimentArm",
    "ExperimentCount",
    "ExperimentLook",
    "Exposure",
    "FollowUp",
    "Promotion",
    "PromotionCheck",
    "PromotionComment",
    "PromotionEvent",
    "ReleaseRule",
    "Rollback",
    "Watch",
]
