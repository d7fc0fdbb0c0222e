"""What is live where. A deployment is a row; the row that was live gets an end in the same transaction."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.prompts.models import Deployment, Prompt, Split, Version
from apps.prompts.services.prompts import locked
from apps.prompts.services.splits import end_open
from apps.prompts.types import Evidence


class ProtectedEnvironment(Conflict):
    """Protected environments take promotions only."""

    code = "protected_environment"
    message = (
        "{environment} is protected: a version gets there by a promotion, with its evidence. Ask for one, or deploy "
        "to an environment that is not protected."
    )


@transaction.atomic
def deploy(
    *,
    prompt: Prompt,
    version: Version,
    environment: Environment,
    actor: Actor,
    now: datetime,
    reason: str = "",
    action: str = "prompts.deployed",
    model: str = "",
    evidence: Evidence | None = None,
) -> Deployment:
    """Make the version live in the environment, in place of what is live there; repeating it changes nothing.

    `model` answers instead of the version's own. A split that is open there ends: from now on everybody gets this. A
    protected environment takes what has `evidence`, which the database checks. Raises ProtectedEnvironment, and Invalid
    for a version of another prompt.
    """
    prompt = locked(prompt)
    if version.prompt_id != prompt.pk:
        raise Invalid(version=["This is a version of another prompt."])
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk, project=prompt.project)
    if evidence is None and (environment.is_protected or environment.slug == "production"):
        raise ProtectedEnvironment(environment=environment.slug)
    live = prompt.deployments.filter(environment=environment, ended_at=None).first()
    if live is not None and (live.version_id, live.model) == (version.pk, model):
        return live
    if live is not None:
        prompt.deployments.filter(pk=live.pk, ended_at=None).update(ended_at=max(now, live.started_at))
    deployment = Deployment.objects.create(
        project_id=prompt.project_id,
        prompt=prompt,
        environment=environment,
        version=version,
        started_at=now if live is None else max(now, live.started_at),
        actor_kind=actor.kind,
        actor_name=actor.name,
        reason=reason.strip()[:2000],
        model=model,
        evidence_kind="" if evidence is None else evidence.kind.value,
        evidence_id=None if evidence is None else evidence.id,
    )
    split = end_open(prompt, environment, now=now)
    _note(deployment, live, split, actor=actor, action=action, now=now)
    return deployment


def _note(
    deployment: Deployment, before: Deployment | None, split: Split | None, *, actor: Actor, action: str, now: datetime
) -> None:
    """Tell the audit trail what is live, in place of what, and which split ended with it."""
    more = {
        "model": deployment.model,
        "evidence": f"{deployment.evidence_kind} {deployment.evidence_id}" if deployment.evidence_kind else "",
        "ended_split": "" if split is None else split.experiment,
    }
    audit.record(
        actor=actor,
        action=action,
        project=deployment.prompt.project,
        target=deployment.version,
        at=now,
        details={
            "environment": deployment.environment.slug,
            "before": None if before is None else str(before.version.number),
            "reason": deployment.reason or None,
            **{name: said for name, said in more.items() if said},
        },
    )


@transaction.atomic
def withdraw(*, prompt: Prompt, environment: Environment, actor: Actor, now: datetime, reason: str = "") -> None:
    """Let nothing of the prompt be live in the environment. Raises ProtectedEnvironment."""
    prompt = locked(prompt)
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk, project=prompt.project)
    if environment.is_protected or environment.slug == "production":
        raise ProtectedEnvironment(environment=environment.slug)
    live = prompt.deployments.filter(environment=environment, ended_at=None).first()
    if live is None:
        return
    prompt.deployments.filter(pk=live.pk, ended_at=None).update(ended_at=max(now, live.started_at))
    split = end_open(prompt, environment, now=now)
    audit.record(
        actor=actor,
        action="prompts.withdrawn",
        project=prompt.project,
        target=live.version,
        at=now,
        details={
            "environment": environment.slug,
            "reason": reason.strip()[:500] or None,
            **({} if split is None else {"ended_split": split.experiment}),
        },
    )
