"""Projections: making a revision, asking for approval, deciding, and telling when reality left one."""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import datetime, timedelta

from django.db import transaction

from apps.accounts.models import User
from apps.alerts.services.notices import notify
from apps.budgets.models import Projection
from apps.budgets.projecting import Inputs
from apps.budgets.projection_drift import Comparison
from apps.budgets.selectors import projections as selectors
from apps.budgets.selectors.projection_inputs import Gathered, gather
from apps.core import money
from apps.core.errors import Conflict, Forbidden, Invalid
from apps.projects import audit
from apps.projects.models import Project
from apps.projects.types import Actor

VALID_FOR = timedelta(days=90)
"""How long an approval holds; after that the projection is looked at again."""
LONGEST_REASON = 2_000


class MayNotDecide(Forbidden):
    """This person's decision does not count here."""

    code = "may_not_decide"


class NotADraft(Conflict):
    """Only a draft is asked for."""

    code, message = "not_a_draft", "It is {state}. Make a new revision to ask again."


class NotWaiting(Conflict):
    """It is not waiting for a decision."""

    code, message = "not_waiting", "It is {state}, and only what waits for a decision is decided on."


@transaction.atomic
def make_projection(
    *,
    project: Project,
    name: str,
    feature: str,
    environment: str,
    inputs: Inputs,
    actor: Actor,
    person: User | None,
    now: datetime,
    revises: Projection | None = None,
) -> Projection:
    """A draft with everything it was worked out from, frozen; a new revision of `revises`, which stays as it is.

    Raises UnpricedModel, NothingToProject, and Invalid.
    """
    name = name.strip()
    if not name or len(name) > 120 or "\x00" in name:
        raise Invalid(name=["Give it a name of 1 to 120 characters."])
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    found = gather(project, feature=feature, environment=environment, inputs=inputs, now=now)
    made = Projection(
        project=project,
        lineage=revises.lineage if revises else uuid.uuid4(),
        revision=selectors.revisions_of(revises)[0].revision + 1 if revises else 1,
        name=name,
        feature=feature,
        environment=environment,
        inputs=inputs.as_json(),
        sample=[list(call) for call in found.calls],
        price=found.price,
        numbers=found.numbers.as_json(),
        month_usd=found.numbers.month_usd,
        author=person,
        author_name=actor.name[:254],
        created_at=now,
    )
    made.content_hash = hash_of(made)
    made.save()
    _record(made, "projection_made", actor, now, found)
    return made


def hash_of(projection: Projection) -> str:
    """SHA-256 of all that is frozen with it."""
    parts = [
        str(projection.lineage),
        projection.revision,
        projection.name,
        projection.feature,
        projection.environment,
        projection.inputs,
        projection.sample,
        projection.price,
        projection.numbers,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@transaction.atomic
def ask(*, projection: Projection, actor: Actor, person: User | None, now: datetime) -> Projection:
    """Have it reviewed. Raises NotADraft, and MayNotDecide where nobody stands behind its author's key."""
    held = _locked(projection)
    if held.state != Projection.State.DRAFT:
        raise NotADraft(state=held.state)
    if held.author_id is None:
        raise MayNotDecide("Nobody stands behind the key that made it. Make it anew as a person.")
    held.state, held.asked_by, held.asked_at = Projection.State.ASKED, person, now
    held.save(update_fields=["state", "asked_by", "asked_at"])
    _record(held, "projection_asked", actor, now)
    notify(
        project=held.project,
        key=f"projection:{held.uuid}:asked",
        kind="projection",
        title=f"Projection {held.name} waits for approval",
        text=f"{actor.name} asks: {money.display(held.month_usd)} a month.",
        path=_path(held),
        role="reviewer",
        now=now,
    )
    return held


@transaction.atomic
def approve(
    *, projection: Projection, actor: Actor, person: User | None, now: datetime, reason: str = ""
) -> Projection:
    """Approve it as that person, for VALID_FOR. Raises MayNotDecide and NotWaiting."""
    held = _decide(projection, Projection.State.APPROVED, actor, person, now, reason)
    held.valid_until = now + VALID_FOR
    held.save(update_fields=["state", "decided_by", "decided_by_name", "decided_at", "reason", "valid_until"])
    _record(held, "projection_approved", actor, now)
    return held


@transaction.atomic
def reject(*, projection: Projection, actor: Actor, person: User | None, now: datetime, reason: str) -> Projection:
    """Reject it as that person, with a reason. Raises MayNotDecide, NotWaiting and Invalid."""
    if not reason.strip():
        raise Invalid(reason=["Say why, so that whoever asked knows what to change."])
    held = _decide(projection, Projection.State.REJECTED, actor, person, now, reason)
    held.save(update_fields=["state", "decided_by", "decided_by_name", "decided_at", "reason"])
    _record(held, "projection_rejected", actor, now)
    return held


def _decide(
    projection: Projection, state: str, actor: Actor, person: User | None, now: datetime, reason: str
) -> Projection:
    held = _locked(projection)
    reason = reason.strip()
    if len(reason) > LONGEST_REASON or "\x00" in reason:
        raise Invalid(reason=[f"At most {LONGEST_REASON:,} characters."])
    waits = held.state == Projection.State.ASKED
    fault = selectors.why_may_not_decide(held, person, selectors.role_of(held.project, person))
    if fault is not None and not waits and "only what waits" in fault:
        raise NotWaiting(state=held.state)
    if fault is not None or person is None:
        raise MayNotDecide(fault)
    held.state, held.decided_by, held.decided_at, held.reason = state, person, now, reason
    held.decided_by_name = actor.name[:254]
    return held


def _locked(projection: Projection) -> Projection:
    """The row as it is now; the project's lock keeps roles as they are meanwhile."""
    Project.objects.select_for_update(no_key=True).get(pk=projection.project_id)
    rows = Projection.objects.select_for_update(no_key=True, of=("self",)).select_related("project")
    return rows.get(pk=projection.pk)


def _record(projection: Projection, what: str, actor: Actor, now: datetime, found: Gathered | None = None) -> None:
    details: dict[str, audit.Detail] = {
        "revision": projection.revision,
        "month_usd": f"{projection.month_usd:f}",
        "content_hash": projection.content_hash,
        "reason": projection.reason or None,
    }
    if found is not None:
        details["price_id"] = found.price["price_id"]
    audit.record(
        actor=actor, action=f"budgets.{what}", project=projection.project, target=projection, at=now, details=details
    )


def _path(projection: Projection) -> str:
    return f"/p/{projection.project.slug}/costs/projections/{projection.uuid}"


# --- Drift --------------------------------------------------------------------------------------------------


def tell_drift(*, now: datetime) -> int:
    """Tell of each approved projection whose interval actual spend has left, once a month each; how many were new."""
    told = 0
    for project in selectors.projects_with_approved(now=now):
        told += tell_drift_of(project=project, now=now)
    return told


@transaction.atomic
def tell_drift_of(*, project: Project, now: datetime) -> int:
    """The same for one project, in one transaction. Racing evaluators tell once, by the notice's key."""
    projections = selectors.current_approved(project, now=now)
    compared = selectors.compare_with_actual(project, projections, now=now)
    told = 0
    for projection in projections:
        comparison = compared[projection.pk]
        if comparison is not None and comparison.has_drifted:
            projection.project = project
            told += _tell(projection, comparison, now)
    return told


def _tell(projection: Projection, comparison: Comparison, now: datetime) -> bool:
    effects = comparison.effects
    notice = notify(
        project=projection.project,
        key=f"projection:{projection.uuid}:{comparison.last:%Y-%m}",
        kind="projection",
        title=f"Spend has left the projection {projection.name}",
        text=(
            f"{comparison.first} to {comparison.last}: {money.display(comparison.actual_usd)} was spent, "
            f"{money.display(comparison.low_usd)} to {money.display(comparison.high_usd)} was projected. "
            f"Traffic made {money.display(effects.traffic_usd)} of the difference, tokens a call "
            f"{money.display(effects.tokens_usd)}, prices and mix {money.display(effects.prices_usd)}."
        ),
        path=_path(projection),
        level="warn",
        now=now,
    )
    return notice is not None
