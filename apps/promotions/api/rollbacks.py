"""JSON endpoints of rollbacks, their stopwatch, and drills."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Forbidden
from apps.core.rest import validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.models import Environment
from apps.projects.types import Role, Scope
from apps.promotions.rollback_serializers import (
    DrillInput,
    DrillOutput,
    DrillsOutput,
    DrillsQuery,
    RollbackDoneOutput,
    RollbackInput,
    RollbackOutput,
    RollbacksOutput,
    RollbacksQuery,
)
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import drills, rollbacks, stopwatch
from apps.promotions.services.rollbacks import MovedOn, NeverLive
from apps.prompts import selectors as prompts
from apps.prompts.models import Deployment, Prompt


class ReviewerNeeded(Forbidden):
    """Going back where it is protected takes more than going back elsewhere."""

    code = "reviewer_needed"
    message = (
        "{environment} is protected: going back there takes a reviewer or an admin, or a key with the scope promotions."
    )


def require_may_roll_back(request: ApiRequest, environment: Environment) -> None:
    """Raise ReviewerNeeded for whoever may not go back in a protected environment."""
    if not (environment.is_protected or environment.slug == "production"):
        return
    if request.identity is not None:
        allowed = bool({Scope.PROMOTIONS.value, Scope.ADMIN.value} & set(request.identity.scopes))
    else:
        allowed = request.membership is not None and request.membership.rank.allows(Role.REVIEWER)
    if not allowed:
        raise ReviewerNeeded(environment=environment.slug)


class RollbackApi(ProjectApi):
    """`POST /api/v1/prompts/{name}/rollback`"""

    role = Role.EDITOR
    scope = Scope.PROMPTS_WRITE
    also: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMOTIONS}

    @extend_schema(request=RollbackInput, responses={201: RollbackDoneOutput}, operation_id="prompts_rollback")
    def post(self, request: ApiRequest, prompt: str) -> Response:
        """Make a version live again that was live there before. Every process answers it within five seconds.

        A protected environment takes a reviewer, or a key with the scope `promotions`; nobody has to approve. 409
        `nothing_before`, `already_live`, `moved_on`; 422 `never_live`; 503 `busy` when nothing was changed and it can
        be tried again. Asked again, it answers the same rollback.
        """
        body, now = validated(RollbackInput, request), clock.now()
        found = prompts.get_prompt(request.project, prompt)
        environment = prompts.get_environment(request.project, body["environment"])
        require_may_roll_back(request, environment)
        rollback = rollbacks.roll_back(
            prompt=found,
            environment=environment,
            to=_wanted(found, environment, body["to"]),
            away_from=_expected(found, environment, body["away_from"]),
            actor=request.actor,
            now=now,
            reason=body["reason"],
        )
        return Response(RollbackDoneOutput(rollback.restored).data, status=201)


def _wanted(prompt: Prompt, environment: Environment, to: str | None) -> Deployment | None:
    """What to go back to. Raises NotFound for a version that there is not, and NeverLive."""
    if to is None:
        return None
    found = selectors.find_deployment(prompt, environment, to)
    if found is None:
        raise NeverLive(version=str(prompts.get_version(prompt, to).number), environment=environment.slug)
    return found


def _expected(prompt: Prompt, environment: Environment, version: str | None) -> Deployment | None:
    """What is live, when that is the version that the caller thinks. Raises MovedOn when it is not."""
    if version is None:
        return None
    live = selectors.live_in(prompt, environment)
    if live is None or str(live.version.number) != version:
        raise MovedOn(live="nothing" if live is None else selectors.candidate_of(live), environment=environment.slug)
    return live


class RollbacksApi(ProjectApi):
    """`GET /api/v1/rollbacks`"""

    scope = Scope.READ

    @extend_schema(parameters=[RollbacksQuery], responses=RollbacksOutput, operation_id="rollbacks_list")
    def get(self, request: ApiRequest) -> Response:
        """Rollbacks with what their stopwatches say, newest first; drills are not among them."""
        page = selectors.list_rollbacks(request.project, **validated_query(RollbacksQuery, request))
        return Response(RollbacksOutput(page._asdict()).data)


class RollbackDetailApi(ProjectApi):
    """`GET /api/v1/rollbacks/{id}`"""

    scope = Scope.READ

    @extend_schema(responses=RollbackOutput, operation_id="rollbacks_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One rollback. While its stopwatch runs, asking looks at it."""
        found = selectors.get_rollback(request.project, uuid)
        return Response(RollbackOutput(stopwatch.measure(found, now=clock.now())).data)


class DrillsApi(ProjectApi):
    """`GET` and `POST /api/v1/drills`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}
    also: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMOTIONS}

    @extend_schema(parameters=[DrillsQuery], responses=DrillsOutput, operation_id="drills_list")
    def get(self, request: ApiRequest) -> Response:
        """Rehearsed rollbacks, newest first."""
        page = selectors.list_drills(request.project, **validated_query(DrillsQuery, request))
        return Response(DrillsOutput(page._asdict()).data)

    @extend_schema(request=DrillInput, responses={201: DrillOutput}, operation_id="drills_create")
    def post(self, request: ApiRequest) -> Response:
        """Go back in an environment that is not protected, wait until every process has it, and go forward again.

        Ask for the drill until its state is no longer `running`. 409 `nothing_to_rehearse`, `drill_running`,
        `experiment_running`, `protected_environment`.
        """
        body = validated(DrillInput, request)
        drill = drills.start_drill(
            prompt=prompts.get_prompt(request.project, body["prompt"]),
            environment=prompts.get_environment(request.project, body["environment"]),
            actor=request.actor,
            now=clock.now(),
        )
        return Response(DrillOutput(drill).data, status=201)


class DrillApi(ProjectApi):
    """`GET /api/v1/drills/{id}`"""

    scope = Scope.READ

    @extend_schema(responses=DrillOutput, operation_id="drills_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One drill. While it runs, asking looks how far it is."""
        drill = drills.look(selectors.get_drill(request.project, uuid), now=clock.now())
        return Response(DrillOutput(drill).data)
