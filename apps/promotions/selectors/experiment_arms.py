"""What may be an arm of an experiment: what was approved for the environment, or was live there before."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import F

from apps.projects.models import Environment
from apps.promotions.models import Promotion
from apps.promotions.types import PromotionState
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.types import Evidence, EvidenceKind

Candidate = tuple[int, str]
"""A version's row and a model; an empty model is the version's own."""

ALLOWED = (PromotionState.APPROVED.value, PromotionState.LIVE.value)


@dataclass(frozen=True, slots=True)
class Allowance:
    """What lets a candidate be an arm: its approval, or the deployment by which it was live before."""

    promotion: Promotion | None = None
    deployment: Deployment | None = None

    @property
    def evidence(self) -> Evidence:
        """As a split's arm names it."""
        if self.promotion is not None:
            return Evidence(EvidenceKind.PROMOTION, self.promotion.uuid)
        assert self.deployment is not None
        return Evidence(EvidenceKind.RETURN, self.deployment.uuid)


def is_protected(environment: Environment) -> bool:
    """Whether candidates need evidence there."""
    return environment.is_protected or environment.slug == "production"


def allowances(prompt: Prompt, environment: Environment) -> dict[Candidate, Allowance]:
    """All candidates of the prompt that may be arms there, with the newest reason, in two queries."""
    found: dict[Candidate, Allowance] = {}
    for deployment in Deployment.objects.filter(prompt=prompt, environment=environment).order_by("started_at", "pk"):
        found[deployment.version_id, deployment.model] = Allowance(deployment=deployment)
    promotions = Promotion.objects.filter(
        prompt=prompt, environment=environment, state__in=ALLOWED, content_hash=F("version__content_hash")
    )
    for promotion in promotions.order_by("number"):
        found[promotion.version_id, promotion.model] = Allowance(promotion=promotion)
    return found


def live_in(prompt: Prompt, environment: Environment) -> Deployment | None:
    """What of the prompt is live there now."""
    rows = Deployment.objects.select_related("version", "version__prompt", "environment")
    return rows.filter(prompt=prompt, environment=environment, ended_at=None).first()


@dataclass(frozen=True, slots=True)
class ArmOption:
    """A candidate that somebody may try, and what lets it in; without an allowance somebody has to approve it first."""

    version: Version
    model: str
    allowance: Allowance | None
    is_live: bool
    needs_approval: bool

    @property
    def value(self) -> str:
        """As a form names it."""
        return f"{self.version.number}|{self.model}"

    @property
    def label(self) -> str:
        """As people read it."""
        return f"{self.version.number} on {self.model}" if self.model else str(self.version.number)

    @property
    def why(self) -> str:
        """What lets it in, in a few words; empty when nothing does."""
        if self.is_live:
            return "live now"
        if self.allowance is None:
            return ""
        if self.allowance.promotion is not None:
            return f"approved by promotion {self.allowance.promotion.number}"
        return "was live here before"


def arm_options(prompt: Prompt, environment: Environment, *, most: int = 50) -> list[ArmOption]:
    """The newest versions of the prompt and every other candidate that was let in, those that may be arms first."""
    found, live = allowances(prompt, environment), live_in(prompt, environment)
    versions = {one.pk: one for one in Version.objects.filter(prompt=prompt).select_related("prompt")[:200]}
    here = None if live is None else (live.version_id, live.model)
    wanted: Iterable[Candidate] = dict.fromkeys([*((pk, "") for pk in list(versions)[:most]), *found])
    guarded = is_protected(environment)
    options = [
        ArmOption(
            versions[pk], model, found.get((pk, model)), (pk, model) == here, guarded and (pk, model) not in found
        )
        for pk, model in wanted
        if pk in versions
    ]
    return sorted(options, key=lambda one: (one.is_live, one.needs_approval))
