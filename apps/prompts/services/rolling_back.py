"""Going back to what was live before. It is a deployment like any other, so it needs nothing but the database."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from apps.core.errors import Conflict, Invalid
from apps.projects.models import Environment
from apps.projects.types import Actor
from apps.prompts.models import Deployment, Prompt, Version
from apps.prompts.services.deploying import ProtectedEnvironment, deploy
from apps.prompts.services.prompts import locked


class NothingBefore(Conflict):
    """There is no earlier version to go back to."""

    code = "nothing_before"
    message = "No other version of {name} was live in {environment} before this one. Deploy the version you want."


class NeverLive(Invalid):
    """The version named was never live there, so that going to it is no way back."""

    code = "never_live"
    message = "{version} was never live in {environment}. Deploy it, instead of going back to it."


@transaction.atomic
def roll_back(
    *, prompt: Prompt, environment: Environment, to: Version | None, actor: Actor, now: datetime, reason: str = ""
) -> Deployment:
    """Make a version live again; without `to`, the one that was live before the present one.

    Raises ProtectedEnvironment, NothingBefore, NeverLive.
    """
    prompt = locked(prompt)
    if environment.is_protected or environment.slug == "production":
        raise ProtectedEnvironment(environment=environment.slug)
    past = prompt.deployments.filter(environment=environment)
    if to is None:
        live = past.filter(ended_at=None).first()
        others = past.exclude(ended_at=None) if live is None else past.exclude(version_id=live.version_id)
        before = others.select_related("version__prompt").first()
        if before is None:
            raise NothingBefore(name=prompt.name, environment=environment.slug)
        to = before.version
    elif not past.filter(version=to).exists():
        raise NeverLive(version=str(to.number), environment=environment.slug)
    return deploy(
        prompt=prompt,
        version=to,
        environment=environment,
        actor=actor,
        now=now,
        reason=reason,
        action="prompts.rolled_back",
    )
