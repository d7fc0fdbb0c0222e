"""Rehearsing a rollback where nothing is protected: back, wait until every process has it, and forward again.

Going back and the drill's row are one transaction, and so are going forward and its end. Whatever happens to the worker
in between, whoever looks next goes on.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from apps.core import jobs
from apps.core.errors import Conflict
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import SYSTEM, Actor
from apps.promotions import rollback_words as words
from apps.promotions.models import Drill, Rollback
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import rollbacks, stopwatch
from apps.promotions.types import DrillState
from apps.prompts.models import Deployment, Prompt
from apps.prompts.services.deploying import deploy
from apps.prompts.services.prompts import locked

SETTLES = timedelta(seconds=2)
"""A process that serves the project says so within this time; who is not heard of by then was not there."""


class ProtectedPlace(Conflict):
    """A drill is held where nothing can break."""

    code = "protected_environment"
    message = "{environment} is protected. Hold the drill in an environment that is not, such as staging."


class NothingToRehearse(Conflict):
    """Nothing is live there, or there is nothing to go back to."""

    code = "nothing_to_rehearse"
    message = (
        "A drill goes back to an earlier version of {name} in {environment}, and there is none. Deploy two versions "
        "there, one after the other; then start the drill."
    )


class DrillRunning(Conflict):
    """One at a time."""

    code, message = "drill_running", "A drill of {name} is running in {environment}. Wait until it is over."


class ExperimentRunning(Conflict):
    """A drill would end an experiment."""

    code = "experiment_running"
    message = "The experiment {slug} runs on {name} in {environment}. Stop it first, or hold the drill elsewhere."


def start_drill(*, prompt: Prompt, environment: Environment, actor: Actor, now: datetime) -> Drill:
    """Go back to the last healthy version there, with the stopwatch running; `look` does the rest.

    Raises ProtectedPlace, NothingToRehearse, DrillRunning, ExperimentRunning and Busy; nothing has changed then.
    """
    if environment.is_protected or environment.slug == "production":
        raise ProtectedPlace(environment=environment.slug)
    place = {"name": prompt.name, "environment": environment.slug}
    with rollbacks.patiently(prompt, environment):
        prompt = locked(prompt)
        if Drill.objects.filter(prompt=prompt, environment=environment, state=DrillState.RUNNING.value).exists():
            raise DrillRunning(**place)
        experiment = selectors.running_experiment(prompt, environment)
        if experiment is not None:
            raise ExperimentRunning(slug=experiment.slug, **place)
        live = selectors.live_in(prompt, environment)
        earlier = selectors.last_healthy(prompt, environment)
        if live is None or earlier is None:
            raise NothingToRehearse(**place)
        rollback = rollbacks.roll_back(
            prompt=prompt,
            environment=environment,
            to=earlier,
            actor=actor,
            now=now,
            reason="A drill: what was live comes back by itself.",
            away_from=live,
            is_drill=True,
        )
        drill = Drill.objects.create(
            project=prompt.project,
            prompt=prompt,
            environment=environment,
            actor_kind=actor.kind,
            actor_name=actor.name[:254],
            kept=live,
            rollback=rollback,
            target_seconds=words.MOST_SECONDS,
            started_at=now,
        )
        _record(drill, "promotions.drill_started", actor, now, {"kept": selectors.candidate_of(live)})
        jobs.enqueue("promotions.look_at_drills")
    return drill


def look(drill: Drill, *, now: datetime) -> Drill:
    """Measure, and end the drill when there is something to say; one that is over stays as it is. When somebody else
    holds the prompt, the next look ends it."""
    if drill.state != DrillState.RUNNING.value or drill.rollback is None:
        return drill
    rollback = stopwatch.measure(drill.rollback, now=now)
    verdict = _verdict(rollback, drill.target_seconds, now)
    if verdict is None:
        return drill
    try:
        return _end(drill, *verdict, now)
    except rollbacks.Busy:
        return drill


def look_at_all(*, now: datetime) -> int:
    """Look at every drill that is not over; how many there were."""
    found = selectors.running_drills()
    for drill in found:
        look(drill, now=now)
    return len(found)


def _verdict(rollback: Rollback, target: int, now: datetime) -> tuple[DrillState, str, float | None] | None:
    """How it went, why, and in how many seconds; None while that is open."""
    watched = selectors.watched(rollback)
    took, since = watched.after(watched.everywhere_at), now - rollback.asked_at
    if took is not None:
        if took > target:
            return DrillState.FAILED, words.too_slow(took, target), took
        return DrillState.PASSED, words.passed(took, sum(ack.at is not None for ack in watched.acks)), took
    if not watched.acks:
        return (DrillState.FAILED, words.NOBODY, None) if since >= SETTLES else None
    if since >= timedelta(seconds=target) or not any(ack.is_waited_for for ack in watched.acks):
        return DrillState.FAILED, words.not_everywhere(watched.acks, target), None
    return None


def _end(drill: Drill, state: DrillState, sentence: str, seconds: float | None, now: datetime) -> Drill:
    """Put back what was live and close the drill, in one transaction; who comes second finds it closed."""
    with rollbacks.patiently(drill.prompt, drill.environment):
        prompt = locked(drill.prompt)
        drill = (
            Drill.objects.select_for_update(of=("self",))
            .select_related("rollback", "environment", "kept__version")
            .get(pk=drill.pk)
        )
        if drill.state != DrillState.RUNNING.value:
            return drill
        live = selectors.live_in(prompt, drill.environment)
        if live is None or drill.rollback is None or live.pk != drill.rollback.restored_id:
            sentence = f"{sentence} {_interfered(live, drill)}"
        else:
            _put_back(prompt, drill, now)
        drill.state, drill.sentence, drill.seconds, drill.ended_at = state.value, sentence, seconds, now
        drill.save(update_fields=["state", "sentence", "seconds", "ended_at"])
        _record(drill, "promotions.drill_ended", SYSTEM, now, {"state": state.value, "sentence": sentence})
    return drill


def _put_back(prompt: Prompt, drill: Drill, now: datetime) -> None:
    deploy(
        prompt=prompt,
        version=drill.kept.version,
        environment=drill.environment,
        actor=SYSTEM,
        now=now,
        reason="The drill is over.",
        action="promotions.drill_put_back",
        model=drill.kept.model,
    )


def _interfered(live: Deployment | None, drill: Drill) -> str:
    there = "Nothing" if live is None else selectors.candidate_of(live)
    return f"{there} was made live meanwhile and stays; {selectors.candidate_of(drill.kept)} was not put back."


def _record(drill: Drill, action: str, actor: Actor, now: datetime, details: dict[str, audit.Detail]) -> None:
    audit.record(
        actor=actor,
        action=action,
        project=drill.project,
        target=drill.prompt,
        at=now,
        details={"environment": drill.environment.slug, **details},
    )
