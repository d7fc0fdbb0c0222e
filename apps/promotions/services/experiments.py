"""The life of an experiment once it is drafted: start, ramp, stop, and the guard that stops it by itself.

Locks are taken in the order prompt, environment, experiment. What is served is the split; an experiment is running as
long as its split is open.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.alerts.services.notices import notify
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import SYSTEM, Actor
from apps.promotions import experiment_words as words
from apps.promotions.experiment_config import WHOLE, room_for
from apps.promotions.experiment_figures import Figures
from apps.promotions.models import Experiment, ExperimentArm
from apps.promotions.selectors import experiment_arms as allowed
from apps.promotions.selectors import experiment_plans
from apps.promotions.selectors import experiments as selectors
from apps.promotions.services.experiment_drafts import locked
from apps.promotions.types import CandidateName, ExperimentState
from apps.prompts.models import Deployment
from apps.prompts.services import splits
from apps.prompts.services.prompts import locked as locked_prompt

CONTROL_NAME = "control"
LONGEST_REASON = 2_000


class ReviewerNeeded(Forbidden):
    """Traffic of a protected environment is a reviewer's to move."""

    code = "reviewer_needed"
    message = (
        "{environment} is protected: a reviewer or an admin starts, ramps and finishes experiments there. Ask one."
    )


class WrongState(Conflict):
    """The experiment is not where this can be done."""

    code, message = "wrong_state", "{slug} is {state}. {hint}"


class NothingLive(Conflict):
    """There is nothing to compare with."""

    code = "nothing_live"
    message = "Nothing of {prompt} is live in {environment}. What is live is the control; promote a version first."


class RunningAlready(Conflict):
    """One experiment at a time for a prompt in an environment."""

    code = "running_already"
    message = "{other} is running on {prompt} in {environment}. Stop or finish it first."


class ArmNotApproved(Conflict):
    """A candidate that nothing lets in."""

    code = "arm_not_approved"
    message = (
        "{candidate} is not approved for {environment}, which is protected. Ask for a promotion with the purpose "
        "experiment, and have it approved."
    )


class SameAsControl(Conflict):
    """An arm would be compared with itself."""

    code, message = "same_as_control", "{arm} is {candidate}, which is live already. Try another version or model."


class LayerFull(Conflict):
    """The experiments of a layer share no subject, and too few are left."""

    code = "layer_full"
    message = (
        "The layer {layer} has no room for {share} of 10,000 subjects. End an experiment of it, or end the ramp lower."
    )


class NotServed(Conflict):
    """The split ended by something else."""

    code = "not_served"
    message = (
        "Something else went live meanwhile, so this experiment serves nobody any more. Reload; it is being ended."
    )


class NoSuchStep(Conflict):
    """The ramp ends here."""

    code, message = "no_such_step", "There is no step {direction} from {share} of 10,000."


def start(*, experiment: Experiment, actor: Actor, is_reviewer: bool, now: datetime) -> Experiment:
    """Serve the arms to the first share of the subjects. What is live at this moment is the control.

    A size that nobody planned is worked out from the smallest difference that matters and recent telemetry.

    Raises ReviewerNeeded, WrongState, NothingLive, RunningAlready, SameAsControl, ArmNotApproved and LayerFull.
    """
    with transaction.atomic():
        experiment = held(experiment)
        require_may_move(experiment, is_reviewer)
        require_state(experiment, ExperimentState.DRAFT, "Only a draft can be started.")
        running = Experiment.objects.filter(
            prompt=experiment.prompt, environment=experiment.environment, state=ExperimentState.RUNNING.value
        ).first()
        if running is not None:
            raise RunningAlready(other=running.slug, **place_of(experiment))
        live = allowed.live_in(experiment.prompt, experiment.environment)
        if live is None:
            raise NothingLive(**place_of(experiment))
        experiment.layer_from = _room(experiment)
        arms = _enter_arms(experiment, live)
        experiment.state, experiment.step, experiment.started_at = ExperimentState.RUNNING.value, 0, now
        if experiment.planned_subjects is None:
            weights = tuple(arm.weight for arm in arms)
            experiment.planned_subjects = experiment_plans.planned_of(experiment, weights, now=now)
        experiment.save(update_fields=["state", "step", "started_at", "layer_from", "planned_subjects"])
        _serve(experiment, arms, actor, now)
        details: dict[str, audit.Detail] = {
            **place_of(experiment),
            "share": experiment.ramp[0],
            "arms": [f"{arm.name}: {arm.version.number}{f' on {arm.model}' if arm.model else ''}" for arm in arms],
        }
        record(experiment, "promotions.experiment_started", actor, now, details)
        return experiment


def ramp(*, experiment: Experiment, forward: bool, actor: Actor, is_reviewer: bool, now: datetime) -> Experiment:
    """Go to the next share of the ramp, or back to the one before; subjects stay in their arms.

    Raises ReviewerNeeded, WrongState, NoSuchStep and NotServed. Going back takes no reviewer.
    """
    with transaction.atomic():
        experiment = held(experiment)
        if forward:
            require_may_move(experiment, is_reviewer)
        require_state(experiment, ExperimentState.RUNNING, "Only a running experiment has a share to change.")
        step = experiment.step + (1 if forward else -1)
        if not 0 <= step < len(experiment.ramp):
            direction = "forward" if forward else "back"
            raise NoSuchStep(direction=direction, share=experiment.ramp[experiment.step])
        _require_served(experiment)
        before = experiment.ramp[experiment.step]
        experiment.step = step
        experiment.save(update_fields=["step"])
        _serve(experiment, selectors.arms_of(experiment), actor, now)
        details: dict[str, audit.Detail] = {**place_of(experiment), "before": before, "share": experiment.ramp[step]}
        record(experiment, "promotions.experiment_ramped", actor, now, details)
        return experiment


def stop(*, experiment: Experiment, actor: Actor, now: datetime, reason: str) -> Experiment:
    """End the split and serve what is live to everybody; one that is over stays as it is.

    Raises Invalid without a reason, and WrongState for a draft.
    """
    with transaction.atomic():
        experiment = held(experiment)
        reason = _good_reason(reason)
        if experiment.state == ExperimentState.DRAFT.value:
            raise WrongState(slug=experiment.slug, state="a draft", hint="It serves nobody.")
        if experiment.state == ExperimentState.RUNNING.value:
            _stop_locked(experiment, actor, now, reason)
        return experiment


def guard(*, experiment: Experiment, figures: Figures, now: datetime) -> bool:
    """Stop the running experiment when the figures say that a guardrail that stops it, or the sample ratio, broke.

    True when this call did it: a second one, and one that races, does nothing.
    """
    reason = words.stop_reason(selectors.plan_of(experiment, ()).guards, experiment.stops_on_mismatch, figures)
    if reason is None:
        return False
    with transaction.atomic():
        experiment = held(experiment)
        if experiment.state != ExperimentState.RUNNING.value:
            return False
        _stop_locked(experiment, SYSTEM, now, reason)
        notify(
            project=experiment.project,
            key=f"experiment-{experiment.uuid}-stopped",
            kind="experiment_stopped",
            title=f"{experiment.name} was stopped by a guardrail",
            text=reason,
            path=f"/p/{experiment.project.slug}/experiments/{experiment.slug}",
            role="viewer",
            level="bad",
            now=now,
        )
        return True


def end_unserved(*, now: datetime) -> int:
    """Stop experiments whose split ended because something else went live; how many those were."""
    return sum(_end_unserved(one, now) for one in selectors.unserved())


def held(experiment: Experiment) -> Experiment:
    """The experiment as it is now; its prompt, its environment and itself are locked."""
    locked_prompt(experiment.prompt)
    Environment.objects.select_for_update(no_key=True).get(pk=experiment.environment_id)
    return locked(experiment)


def require_may_move(experiment: Experiment, is_reviewer: bool) -> None:
    """Raise ReviewerNeeded where somebody else has to do it."""
    if allowed.is_protected(experiment.environment) and not is_reviewer:
        raise ReviewerNeeded(environment=experiment.environment.slug)


def require_state(experiment: Experiment, state: ExperimentState, hint: str) -> None:
    """Raise WrongState unless it is there."""
    if experiment.state != state.value:
        raise WrongState(slug=experiment.slug, state=experiment.state, hint=hint)


def _require_served(experiment: Experiment) -> None:
    split = selectors.open_split(experiment.prompt, experiment.environment)
    if split is None or split.salt != experiment.salt:
        raise NotServed


def _good_reason(reason: str) -> str:
    reason = reason.strip()
    if not reason or len(reason) > LONGEST_REASON or "\x00" in reason:
        raise Invalid(reason=["Say why, in up to 2,000 characters."])
    return reason


def _room(experiment: Experiment) -> int:
    """Where its part of the layer begins; the largest step of the ramp has to fit."""
    if not experiment.layer:
        return 0
    share = max(experiment.ramp)
    found = room_for(share, selectors.taken_room(experiment.environment, experiment.layer))
    if found is None:
        raise LayerFull(layer=experiment.layer, share=share)
    return found


def _enter_arms(experiment: Experiment, live: Deployment) -> list[ExperimentArm]:
    """The control, and the treatments with what lets them in."""
    treatments = selectors.arms_of(experiment)
    found = allowed.allowances(experiment.prompt, experiment.environment)
    for arm in treatments:
        named = CandidateName(experiment.prompt.name, str(arm.version.number), arm.model)
        if (arm.version_id, arm.model) == (live.version_id, live.model):
            raise SameAsControl(arm=arm.name, candidate=str(named))
        allowance = found.get((arm.version_id, arm.model))
        if allowance is None and allowed.is_protected(experiment.environment):
            raise ArmNotApproved(candidate=str(named), environment=experiment.environment.slug)
        if allowance is not None and allowance.promotion is not None:
            arm.promotion = allowance.promotion
            arm.save(update_fields=["promotion"])
    weight = WHOLE - sum(arm.weight for arm in treatments)
    control = ExperimentArm.objects.create(
        experiment=experiment,
        name=CONTROL_NAME,
        position=0,
        version=live.version,
        model=live.model,
        weight=weight,
        is_control=True,
    )
    return [control, *treatments]


def _serve(experiment: Experiment, arms: list[ExperimentArm], actor: Actor, now: datetime) -> None:
    """Set the split to the share of the step that it is at; salt, weights and part of the layer are always the same."""
    found = allowed.allowances(experiment.prompt, experiment.environment)
    choices = []
    for arm in arms:
        allowance = found.get((arm.version_id, arm.model))
        evidence = None if allowance is None else allowance.evidence
        choices.append(splits.ArmChoice(arm.name, arm.version, arm.model, arm.weight, evidence))
    splits.set_split(
        prompt=experiment.prompt,
        environment=experiment.environment,
        experiment=experiment.slug,
        unit=experiment.unit,
        salt=experiment.salt,
        share=experiment.ramp[experiment.step],
        arms=choices,
        excluded=experiment.excluded,
        layer=experiment.layer,
        layer_from=experiment.layer_from,
        actor=actor,
        now=now,
    )


def _stop_locked(experiment: Experiment, actor: Actor, now: datetime, reason: str) -> None:
    end(experiment, ExperimentState.STOPPED, actor, now, reason)
    details: dict[str, audit.Detail] = {**place_of(experiment), "reason": reason}
    record(experiment, "promotions.experiment_stopped", actor, now, details)


def end(experiment: Experiment, state: ExperimentState, actor: Actor, now: datetime, reason: str) -> None:
    """End the split, if it is still open, and move to that state. The caller holds the locks."""
    split = selectors.open_split(experiment.prompt, experiment.environment)
    if split is not None and split.salt == experiment.salt:
        splits.end_split(prompt=experiment.prompt, environment=experiment.environment, actor=actor, now=now)
    experiment.state, experiment.ended_at, experiment.stop_reason = state.value, now, reason
    experiment.save(update_fields=["state", "ended_at", "stop_reason", "winner"])


@transaction.atomic
def _end_unserved(experiment: Experiment, now: datetime) -> int:
    experiment = held(experiment)
    split = selectors.open_split(experiment.prompt, experiment.environment)
    is_served = split is not None and split.salt == experiment.salt
    if experiment.state != ExperimentState.RUNNING.value or is_served:
        return 0
    live = allowed.live_in(experiment.prompt, experiment.environment)
    place = experiment.environment.slug
    if live is None:
        reason = f"Nothing of {experiment.prompt.name} is live in {place} any more."
    else:
        named = CandidateName(experiment.prompt.name, str(live.version.number), live.model)
        way = "was brought back" if live.evidence_kind == "return" else "went live"
        reason = f"{named} {way} in {place}, so everybody gets that."
    _stop_locked(experiment, SYSTEM, now, reason)
    return 1


def place_of(experiment: Experiment) -> dict[str, str]:
    """The prompt and the environment, as messages and the audit trail name them."""
    return {"prompt": experiment.prompt.name, "environment": experiment.environment.slug}


def record(experiment: Experiment, action: str, actor: Actor, now: datetime, details: dict[str, audit.Detail]) -> None:
    """One entry of the audit trail."""
    audit.record(actor=actor, action=action, project=experiment.project, target=experiment, at=now, details=details)
