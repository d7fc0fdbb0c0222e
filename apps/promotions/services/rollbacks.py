"""Going back to what was live before, with a stopwatch. It needs the database, and nothing else.

One function for the page, the API, a watch and a drill. It takes a few rows' locks, in the order prompt, environment,
experiment, and none for longer than `PATIENCE`: whoever cannot have them is told so, and nothing has changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg
from django.db import DatabaseError, OperationalError, connection, transaction

from apps.alerts.services.notices import notify
from apps.core import clock, jobs
from apps.core.errors import Conflict, Invalid, Unavailable
from apps.core.navigation import address
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.promotions.models import Rollback
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import experiments
from apps.prompts.models import Deployment, LiveMark, Prompt
from apps.prompts.services.deploying import deploy
from apps.prompts.services.prompts import locked
from apps.prompts.types import Evidence, EvidenceKind

log = logging.getLogger(__name__)

PATIENCE = "4s"
"""How long a lock is waited for."""


class NothingBefore(Conflict):
    """There is no earlier candidate that nothing speaks against."""

    code = "nothing_before"
    message = (
        "Nothing else of {name} was live in {environment} that is known to be healthy. Name what to go back to, or "
        "put the version you want live."
    )


class NeverLive(Invalid):
    """What was named was never live there, so that going to it is no way back."""

    code = "never_live"
    message = "{version} was never live in {environment}. Deploy it, instead of going back to it."


class AlreadyLive(Conflict):
    """What was named is live now."""

    code = "already_live"
    message = "{version} is live in {environment} already. Name another version to go back to."


class MovedOn(Conflict):
    """Something else is live than what was to be rolled back."""

    code = "moved_on"
    message = "{live} is live in {environment} by now. Look again before you roll that back."


class Busy(Unavailable):
    """Somebody else holds the rows."""

    code = "busy"
    message = (
        "Somebody else is changing what is live of {name} in {environment} at this moment. Nothing was changed; try "
        "again."
    )


def roll_back(
    *,
    prompt: Prompt,
    environment: Environment,
    to: Deployment | None = None,
    actor: Actor,
    now: datetime,
    reason: str = "",
    is_automatic: bool = False,
    away_from: Deployment | None = None,
    is_drill: bool = False,
) -> Rollback:
    """Make live again what was live there before; without `to`, the last healthy one. `now` is the click.

    `to` is any earlier deployment of the prompt there. With `away_from`, only while that is live: two people who click
    at the same moment go back once. Who goes back to what a rollback made live gets that rollback again. Raises
    NothingBefore, NeverLive, AlreadyLive, MovedOn, and Busy when a lock cannot be had in time.
    """
    with patiently(prompt, environment):
        prompt = locked(prompt)
        environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk, project=prompt.project)
        live = selectors.live_in(prompt, environment)
        if away_from is not None and (live is None or live.pk != away_from.pk):
            raise MovedOn(live=_named(live), environment=environment.slug)
        target = _target(prompt, environment, to)
        if live is not None and (live.version_id, live.model) == (target.version_id, target.model):
            return _again(live, environment)
        if not is_drill:
            _stop_experiment(prompt, environment, actor, now, reason)
        restored = deploy(
            prompt=prompt,
            version=target.version,
            environment=environment,
            actor=actor,
            now=now,
            reason=reason,
            action="promotions.rolled_back",
            model=target.model,
            evidence=Evidence(EvidenceKind.RETURN, target.uuid),
        )
        return _written_down(restored, live, actor, now, is_automatic=is_automatic, is_drill=is_drill)


@contextmanager
def patiently(prompt: Prompt, environment: Environment) -> Iterator[None]:
    """A transaction that waits for no lock for long, and says in words that it could not be had."""
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('lock_timeout', %s, true)", [PATIENCE])
            yield
    except OperationalError as error:
        if isinstance(error.__cause__, psycopg.errors.LockNotAvailable | psycopg.errors.DeadlockDetected):
            raise Busy(name=prompt.name, environment=environment.slug) from error
        raise


def _target(prompt: Prompt, environment: Environment, to: Deployment | None) -> Deployment:
    if to is None:
        found = selectors.last_healthy(prompt, environment)
        if found is None:
            raise NothingBefore(name=prompt.name, environment=environment.slug)
        return found
    if not selectors.was_live(prompt, environment, to):
        raise NeverLive(version=str(to.version.number), environment=environment.slug)
    return to


def _again(live: Deployment, environment: Environment) -> Rollback:
    """The rollback that led here, for who asks for it twice."""
    before = selectors.rollback_to(live)
    if before is None:
        raise AlreadyLive(version=_named(live), environment=environment.slug)
    return before


def _written_down(
    restored: Deployment, bad: Deployment | None, actor: Actor, now: datetime, *, is_automatic: bool, is_drill: bool
) -> Rollback:
    """The rollback with its stopwatch running. The transaction holds the row of the mark, so that this is the number
    that the change is known by."""
    rollback = Rollback.objects.create(
        project=restored.project,
        prompt=restored.prompt,
        environment=restored.environment,
        bad=bad,
        restored=restored,
        is_drill=is_drill,
        is_automatic=is_automatic,
        reason=restored.reason,
        actor_kind=actor.kind,
        actor_name=actor.name[:254],
        asked_at=_by_the_database(now),
        mark=LiveMark.objects.get(project=restored.project_id).number,
    )
    if not is_drill:
        _tell_people(rollback, now)
    transaction.on_commit(lambda: _note_commit(rollback), robust=True)
    jobs.enqueue("promotions.measure_rollbacks")
    return rollback


def _named(deployment: Deployment | None) -> str:
    return "nothing" if deployment is None else selectors.candidate_of(deployment)


def _stop_experiment(prompt: Prompt, environment: Environment, actor: Actor, now: datetime, reason: str) -> None:
    """A bad arm must not go on. Deploying ends the split; this says so in the experiment."""
    running = selectors.running_experiment(prompt, environment)
    if running is not None:
        words = f"{prompt.name} was rolled back in {environment.slug}{f': {reason.strip()}' if reason.strip() else '.'}"
        experiments.stop(experiment=running, actor=actor, now=now, reason=words[:2000])


def _tell_people(rollback: Rollback, now: datetime) -> None:
    by = "by itself" if rollback.is_automatic else f"by {rollback.actor_name}"
    instead = "" if rollback.bad is None else f", instead of {selectors.candidate_of(rollback.bad)}"
    root = address("rollbacks", rollback.project.slug)
    notify(
        project=rollback.project,
        key=f"rollback:{rollback.uuid}",
        kind="rollback",
        title=f"{rollback.prompt.name} was rolled back in {rollback.environment.slug} {by}",
        text=f"It answers {selectors.candidate_of(rollback.restored)}{instead}. {rollback.reason}".strip(),
        path="" if root is None else f"{root}/{rollback.uuid}",
        level="warn",
        now=now,
    )


def _by_the_database(now: datetime) -> datetime:
    """The moment by the database's clock, so that it can be compared with what other machines wrote down. A difference
    that is no longer than it took to ask is none."""
    before = clock.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        there: datetime = cursor.fetchone()[0]
    after = clock.now()
    if before <= there <= after:
        return now
    return now + (there - before) - (after - before) / 2


def _note_commit(rollback: Rollback) -> None:
    """Write down when it was committed, as far as anybody can know: as soon as it was."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                "UPDATE promotions_rollback SET committed_at = clock_timestamp() WHERE id = %s RETURNING committed_at",
                [rollback.pk],
            )
            (rollback.committed_at,) = cursor.fetchone()
    except DatabaseError as error:
        log.warning("rolled back, but when it was committed could not be written down: %s", error)
        rollback.committed_at = None
