"""How the traffic of an environment is split. A split is a row; a change ends one row and begins the next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.prompts.models import Prompt, Version
from apps.prompts.models.splits import WHOLE, Split, SplitArm
from apps.prompts.services.prompts import locked
from apps.prompts.types import Evidence

LONGEST_SUBJECT = 256
MOST_EXCLUDED = 1_000


class ArmNeedsEvidence(Conflict):
    """An arm of a protected environment was not let in."""

    code = "arm_not_approved"
    message = (
        "{arm} may not be an arm in {environment}, which is protected. Ask for a promotion for an experiment, and have "
        "it approved."
    )


class NothingLive(Conflict):
    """There is nothing for those who do not take part."""

    code = "nothing_live"
    message = "Nothing of {name} is live in {environment}. Deploy what everybody else is to get, then split."


class LayerTaken(Conflict):
    """Another split of the layer has some of these subjects."""

    code = "layer_taken"
    message = (
        "The experiment {other} has {first} to {last} of 10,000 in the layer {layer}, which overlaps. Take another "
        "part of the layer, or a smaller share."
    )


@dataclass(frozen=True, slots=True)
class ArmChoice:
    """One arm: a version on a model (empty: the version's own) for `weight` of 10,000 of those who take part.

    `evidence` lets it into a protected environment: a promotion, or a deployment that it returns to.
    """

    name: str
    version: Version
    model: str
    weight: int
    evidence: Evidence | None = None


@transaction.atomic
def set_split(
    *,
    prompt: Prompt,
    environment: Environment,
    experiment: str,
    unit: str,
    salt: str,
    share: int,
    arms: Sequence[ArmChoice],
    excluded: Iterable[str] = (),
    layer: str = "",
    layer_from: int = 0,
    actor: Actor,
    now: datetime,
) -> Split:
    """Split the traffic, in place of the split that is open there; the same salt keeps subjects where they are.

    `share` and weights are of 10,000. Raises Invalid, ArmNeedsEvidence, NothingLive, LayerTaken.
    """
    prompt = locked(prompt)
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk, project=prompt.project)
    kept_out = sorted(set(excluded))
    _require_sound(prompt, arms, salt=salt, share=share, excluded=kept_out, layer=layer, layer_from=layer_from)
    _require_evidence(environment, arms)
    if not prompt.deployments.filter(environment=environment, ended_at=None).exists():
        raise NothingLive(name=prompt.name, environment=environment.slug)
    _require_free(prompt, environment, share=share, layer=layer, layer_from=layer_from)
    before = end_open(prompt, environment, now=now)
    split = Split.objects.create(
        project_id=prompt.project_id,
        prompt=prompt,
        environment=environment,
        experiment=experiment,
        unit=unit,
        salt=salt,
        layer=layer,
        layer_from=layer_from,
        share=share,
        excluded=kept_out,
        started_at=now if before is None else max(now, before.started_at),
        actor_kind=actor.kind,
        actor_name=actor.name,
    )
    SplitArm.objects.bulk_create([_arm(split, position, arm) for position, arm in enumerate(arms)])
    audit.record(
        actor=actor,
        action="prompts.split_changed" if before is not None else "prompts.split_started",
        project=prompt.project,
        target=prompt,
        at=now,
        details={
            "environment": environment.slug,
            "experiment": experiment,
            "share": share,
            "arms": [f"{arm.name}: {_named(arm)}, {arm.weight} of {WHOLE}" for arm in arms],
            "before": None if before is None else before.share,
        },
    )
    return split


@transaction.atomic
def end_split(*, prompt: Prompt, environment: Environment, actor: Actor, now: datetime) -> bool:
    """Give everybody what is live. False when there was no split to end."""
    prompt = locked(prompt)
    ended = end_open(prompt, environment, now=now)
    if ended is None:
        return False
    audit.record(
        actor=actor,
        action="prompts.split_ended",
        project=prompt.project,
        target=prompt,
        at=now,
        details={"environment": environment.slug, "experiment": ended.experiment, "share": ended.share},
    )
    return True


def end_open(prompt: Prompt, environment: Environment, *, now: datetime) -> Split | None:
    """End the open split of a prompt that the caller has locked, and give it back. The audit entry is the caller's."""
    split = Split.objects.filter(prompt=prompt, environment=environment, ended_at=None).first()
    if split is not None:
        Split.objects.filter(pk=split.pk, ended_at=None).update(ended_at=max(now, split.started_at))
    return split


def _arm(split: Split, position: int, arm: ArmChoice) -> SplitArm:
    return SplitArm(
        split=split,
        position=position,
        name=arm.name,
        version=arm.version,
        model=arm.model,
        weight=arm.weight,
        evidence_kind="" if arm.evidence is None else arm.evidence.kind.value,
        evidence_id=None if arm.evidence is None else arm.evidence.id,
    )


def _named(arm: ArmChoice) -> str:
    return f"{arm.version.number}{f' on {arm.model}' if arm.model else ''}"


def _require_sound(
    prompt: Prompt,
    arms: Sequence[ArmChoice],
    *,
    salt: str,
    share: int,
    excluded: Sequence[str],
    layer: str,
    layer_from: int,
) -> None:
    if not 1 <= share <= WHOLE:
        raise Invalid(share=["From 1 to 10,000 of 10,000."])
    if not 0 <= layer_from <= WHOLE - share:
        raise Invalid(layer_from=["The part has to lie within the layer: layer_from and share are 10,000 at most."])
    if layer_from and not layer:
        raise Invalid(layer_from=["This needs a layer."])
    if len(excluded) > MOST_EXCLUDED or any(not 1 <= len(one) <= LONGEST_SUBJECT for one in excluded):
        raise Invalid(excluded=[f"At most {MOST_EXCLUDED} subjects of 1 to {LONGEST_SUBJECT} characters."])
    if not salt:
        raise Invalid(salt=["What subjects are hashed with may not be empty."])
    if len(arms) < 2:
        raise Invalid(arms=["A split has at least two arms."])
    if len({arm.name for arm in arms}) < len(arms):
        raise Invalid(arms=["Each arm needs a name of its own."])
    if any(arm.version.prompt_id != prompt.pk for arm in arms):
        raise Invalid(arms=["Arms are versions of this prompt."])
    if any(arm.weight < 1 for arm in arms) or sum(arm.weight for arm in arms) != WHOLE:
        raise Invalid(arms=["Weights are 1 or more and add up to 10,000."])


def _require_evidence(environment: Environment, arms: Sequence[ArmChoice]) -> None:
    """Raise for an arm that nothing lets into a protected environment; what the evidence says, the database sees to."""
    if not (environment.is_protected or environment.slug == "production"):
        return
    for arm in arms:
        if arm.evidence is None:
            raise ArmNeedsEvidence(arm=arm.name, environment=environment.slug)


def _require_free(prompt: Prompt, environment: Environment, *, share: int, layer: str, layer_from: int) -> None:
    """Raise when another split has some of this part; the environment's row, which is locked, keeps others out."""
    if not layer:
        return
    others = Split.objects.filter(environment=environment, layer=layer, ended_at=None).exclude(prompt=prompt)
    for other in others:
        if other.layer_from < layer_from + share and layer_from < other.layer_from + other.share:
            last = other.layer_from + other.share - 1
            raise LayerTaken(other=other.experiment, first=other.layer_from, last=last, layer=layer)
