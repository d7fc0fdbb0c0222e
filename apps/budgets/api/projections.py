"""JSON endpoints of projections: making, reading, asking, deciding, and what-ifs."""

from __future__ import annotations

import uuid as uuids
from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.reauthentication import is_fresh
from apps.budgets.models import Projection
from apps.budgets.projecting import Inputs
from apps.budgets.projection_serializers import (
    ProjectionAskInput,
    ProjectionInput,
    ProjectionOutput,
    ProjectionReasonInput,
    ProjectionRejectInput,
    ProjectionsOutput,
    WhatIfInput,
    WhatIfsOutput,
    inputs_of,
)
from apps.budgets.selectors import projection_inputs
from apps.budgets.selectors import projections as selectors
from apps.budgets.services import projections as services
from apps.core import clock
from apps.core.errors import Forbidden
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import get_environment, person_behind
from apps.projects.types import Role, Scope


class SignInAgain(Forbidden):
    """A person must prove again who they are before this."""

    code = "sign_in_again"
    message = "Confirm your password under /accounts/reauthenticate/ first, or approve on the projection's page."


def acting(request: ApiRequest) -> dict[str, Any]:
    """Who acts, the person behind it, and when."""
    return {
        "actor": request.actor,
        "person": person_behind(request.user, request.identity),
        "now": clock.now(),
    }


def shown(request: ApiRequest, projection: Projection) -> dict[str, Any]:
    """The projection as its answer, compared with what was spent where it is approved."""
    is_approved = projection.state == Projection.State.APPROVED
    compared = selectors.compare_with_actual(request.project, [projection] if is_approved else [], now=clock.now())
    context = {"request": request, "project": request.project, "compared": compared}
    return dict(ProjectionOutput(projection, context=context).data)


class ProjectionsApi(ProjectApi):
    """`GET` and `POST /api/v1/projections`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}

    @extend_schema(responses=ProjectionsOutput, operation_id="projections_list")
    def get(self, request: ApiRequest) -> Response:
        """The newest revision of each projection, newest first."""
        found = selectors.newest_projections(request.project)
        approved = [one for one in found if one.state == Projection.State.APPROVED]
        compared = selectors.compare_with_actual(request.project, approved, now=clock.now())
        context = {"request": request, "project": request.project, "compared": compared}
        return Response({"items": [ProjectionOutput(one, context=context).data for one in found]})

    @extend_schema(request=ProjectionInput, responses={201: ProjectionOutput}, operation_id="projections_make")
    def post(self, request: ApiRequest) -> Response:
        """Make a projection, or with `revises` a new revision, frozen with everything it was worked out from.

        422 `unpriced_model` when no price is known, `nothing_to_project` when there are no calls to project from.
        """
        body = validated(ProjectionInput, request)
        get_environment(project=request.project, name=body["environment"])
        revises = selectors.get_projection(request.project, body["revises"]) if body["revises"] else None
        told = acting(request)
        made = services.make_projection(
            project=request.project,
            name=body["name"],
            feature=body["feature"],
            environment=body["environment"],
            inputs=inputs_of(body["inputs"]),
            revises=revises,
            **told,
        )
        if body["ask"]:
            made = services.ask(projection=made, **told)
        return Response(shown(request, made), status=201)


class ProjectionApi(ProjectApi):
    """`GET /api/v1/projections/{projection}`"""

    scope = Scope.READ

    @extend_schema(responses=ProjectionOutput, operation_id="projections_get")
    def get(self, request: ApiRequest, uuid: uuids.UUID) -> Response:
        """One revision, with what was spent since where it is approved."""
        return Response(shown(request, selectors.get_projection(request.project, uuid)))


class ProjectionAskApi(ProjectApi):
    """`POST /api/v1/projections/{projection}/ask`"""

    role = Role.EDITOR
    scope = Scope.ADMIN

    @extend_schema(request=ProjectionAskInput, responses=ProjectionOutput, operation_id="projections_ask")
    def post(self, request: ApiRequest, uuid: uuids.UUID) -> Response:
        """Ask for approval of a draft. 409 `not_a_draft`."""
        validated(ProjectionAskInput, request)
        found = selectors.get_projection(request.project, uuid)
        return Response(shown(request, services.ask(projection=found, **acting(request))))


class ProjectionApproveApi(ProjectApi):
    """`POST /api/v1/projections/{projection}/approve`"""

    role = Role.EDITOR
    scope = Scope.ADMIN

    @extend_schema(request=ProjectionReasonInput, responses=ProjectionOutput, operation_id="projections_approve")
    def post(self, request: ApiRequest, uuid: uuids.UUID) -> Response:
        """Approve it for 90 days. The person counts: a key's is whoever made it.

        403 `may_not_decide` for its author and whoever asked (with any key) and for who is no reviewer; 409
        `not_waiting`.
        """
        body = validated(ProjectionReasonInput, request)
        found = selectors.get_projection(request.project, uuid)
        if request.identity is None and not is_fresh(request._request):
            raise SignInAgain
        done = services.approve(projection=found, **acting(request), reason=body["reason"])
        return Response(shown(request, done))


class ProjectionRejectApi(ProjectApi):
    """`POST /api/v1/projections/{projection}/reject`"""

    role = Role.EDITOR
    scope = Scope.ADMIN

    @extend_schema(request=ProjectionRejectInput, responses=ProjectionOutput, operation_id="projections_reject")
    def post(self, request: ApiRequest, uuid: uuids.UUID) -> Response:
        """Reject it, with a reason. 403 `may_not_decide`; 409 `not_waiting`."""
        body = validated(ProjectionRejectInput, request)
        found = selectors.get_projection(request.project, uuid)
        return Response(shown(request, services.reject(projection=found, **acting(request), reason=body["reason"])))


class ProjectionWhatIfApi(ProjectApi):
    """`POST /api/v1/projections/{projection}/what-if`"""

    scope = Scope.READ

    @extend_schema(request=WhatIfInput, responses=WhatIfsOutput, operation_id="projections_what_if")
    def post(self, request: ApiRequest, uuid: uuids.UUID) -> Response:
        """The same calls with other models and cache rates, at today's prices. Nothing is stored."""
        body = validated(WhatIfInput, request)
        found = selectors.get_projection(request.project, uuid)
        now = clock.now()
        models = [(one["provider"], one["model"]) for one in body["models"]]
        rows = projection_inputs.what_ifs(
            request.project,
            inputs=Inputs.of_json(found.inputs),
            calls=selectors.sample_of(found),
            by_weekday=selectors.numbers_of(found).calls_by_weekday,
            now=now,
            models=models or projection_inputs.known_models(request.project, now=now),
            cache_rates=body["cache_rates"] or projection_inputs.CACHE_RATES,
        )
        return Response(WhatIfsOutput({"items": [cell for row in rows for cell in row]}).data)
