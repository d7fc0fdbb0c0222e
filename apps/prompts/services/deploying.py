"""What is live where. A deployment is a row; the row that was live gets an end in the same transaction."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.projects import audit
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.services.prompts import locked


class ProtectedEnvironment(Conflict):
    """Protected environments take promotions only."""

    code = "protected_environment"
    message = (
        "{environment} is protected: a version gets there by a promotion, with its evidence, which this release does "
        "not have yet. Deploy to an environment that is not protected."
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
) -> Deployment:
    """Make the version live in the environment, in place of what is live there; repeating it changes nothing.

    Raises ProtectedEnvironment, and Invalid for a version of another prompt.
    """
    prompt = locked(prompt)
    if version.prompt_id != prompt.pk:
        raise Invalid(version=["This is a version of another prompt."])
    environment = Environment.objects.select_for_update(no_key=True).get(pk=environment.pk, project=prompt.project)
    if environment.is_protected or environment.slug == "production":
        raise ProtectedEnvironment(environment=environment.slug)
    live = prompt.deployments.filter(environment=environment, ended_at=None).first()
    if live is not None and live.version_id == version.pk:
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
    )
    audit.record(
        actor=actor,
        action=action,
        project=prompt.project,
        target=version,
        at=now,
        details={
            "environment": environment.slug,
            "before": None if live is None else str(live.version.number),
            "reason": deployment.reason or None,
        },
    )
    return deployment


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
    audit.record(
        actor=actor,
        action="prompts.withdrawn",
        project=prompt.project,
        target=live.version,
        at=now,
        details={"environment": environment.slug, "reason": reason.strip()[:500] or None},
    )
