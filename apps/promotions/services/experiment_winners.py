"""The end of an experiment that has a winner: naming it by the figures, and asking for it to be live."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.accounts.models import User
from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.types import Actor
from apps.promotions import experiment_words as words
from apps.promotions.models import Experiment, ExperimentArm, Promotion
from apps.promotions.selectors import experiment_arms as allowed
from apps.promotions.selectors import experiments as selectors
from apps.promotions.services import asking, looking
from apps.promotions.services.experiments import (
    WrongState,
    end,
    held,
    place_of,
    record,
    require_may_move,
    require_state,
)
from apps.promotions.types import ExperimentState, PromotionOrigin, PromotionState, Purpose
from apps.prompts.services import deploying


class NoWinner(Conflict):
    """The figures do not name this arm."""

    code, message = "no_winner", "{arm} cannot be named the winner. {why} End it without a winner, or go on measuring."


def finish(*, experiment: Experiment, winner: str, actor: Actor, is_reviewer: bool, now: datetime) -> Experiment:
    """End the split and name the winner, which the figures of this moment must say is better than the control.

    Everybody gets what is live until the winner is promoted. Raises ReviewerNeeded, WrongState, Invalid and NoWinner.
    """
    require_may_move(experiment, is_reviewer)
    require_state(experiment, ExperimentState.RUNNING, "Only a running experiment can be finished.")
    figures = looking.look(experiment, now)
    # Before the experiment is locked: who counts has the lock of its counts first, and its own after.
    looking.keep(experiment, figures, always=True)
    with transaction.atomic():
        experiment = held(experiment)
        require_may_move(experiment, is_reviewer)
        require_state(experiment, ExperimentState.RUNNING, "Only a running experiment can be finished.")
        arm = next((one for one in selectors.arms_of(experiment) if one.name == winner), None)
        if arm is None:
            raise Invalid(winner=["There is no arm of this name."])
        why = words.why_no_winner(arm.name, arm.is_control, figures)
        if why is not None:
            raise NoWinner(arm=arm.name, why=why)
        experiment.winner = arm
        end(experiment, ExperimentState.FINISHED, actor, now, "")
        details: dict[str, audit.Detail] = {**place_of(experiment), "winner": arm.name, "figures": figures.sentence}
        record(experiment, "promotions.experiment_finished", actor, now, details)
        return experiment


def promote_winner(*, experiment: Experiment, actor: Actor, person: User | None, now: datetime) -> Promotion | None:
    """Ask for the winner to be live, through the gate and an approval like everything else; the open request again when
    there is one. None where the environment is not protected: there it goes live at once.

    Raises WrongState, and what `asking.ask` raises.
    """
    require_state(experiment, ExperimentState.FINISHED, "Finish it with a winner first.")
    arm = experiment.winner
    if arm is None:
        raise WrongState(slug=experiment.slug, state="finished", hint="It has no winner.")
    asked = experiment.promotion
    if asked is not None and (PromotionState(asked.state).is_open or asked.state == PromotionState.LIVE.value):
        return asked
    why = f"{arm.name} won the experiment {experiment.name}."
    if not allowed.is_protected(experiment.environment):
        _deploy(experiment, arm, why, actor, now)
        return None
    promotion = asking.ask(
        prompt=experiment.prompt,
        version=arm.version,
        environment=experiment.environment,
        actor=actor,
        person=person,
        now=now,
        model=arm.model,
        why=why,
        purpose=Purpose.LIVE,
        origin=PromotionOrigin.EXPERIMENT,
    )
    with transaction.atomic():
        experiment = held(experiment)
        Experiment.objects.filter(pk=experiment.pk).update(promotion=promotion)
        details: dict[str, audit.Detail] = {**place_of(experiment), "winner": arm.name, "promotion": promotion.number}
        record(experiment, "promotions.experiment_winner_asked", actor, now, details)
    return promotion


@transaction.atomic
def _deploy(experiment: Experiment, arm: ExperimentArm, why: str, actor: Actor, now: datetime) -> None:
    """Make the winner live where nothing protects the environment."""
    experiment = held(experiment)
    deploying.deploy(
        prompt=experiment.prompt,
        version=arm.version,
        environment=experiment.environment,
        actor=actor,
        now=now,
        reason=why,
        model=arm.model,
    )
    details: dict[str, audit.Detail] = {**place_of(experiment), "winner": arm.name}
    record(experiment, "promotions.experiment_winner_deployed", actor, now, details)
