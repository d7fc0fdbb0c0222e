"""JSON endpoints of spend budgets."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.budgets.budget_serializers import (
    BudgetInput,
    BudgetOutput,
    BudgetPreviewInput,
    BudgetPreviewOutput,
    BudgetsOutput,
    scope_of,
)
from apps.budgets.models import Budget
from apps.budgets.selectors import budgets as selectors
from apps.budgets.services import budgets as services
from apps.budgets.spend_periods import PeriodKind
from apps.core import clock
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


def shown(request: ApiRequest, budget: Budget) -> dict[str, Any]:
    """The budget with its standing, as it is answered."""
    status = selectors.read_statuses(request.project, [budget], now=clock.now(), ahead=True)[0]
    return dict(BudgetOutput(status).data)


def promise_of(request: ApiRequest) -> services.Promise:
    """What the body says. Raises Invalid."""
    told = validated(BudgetInput, request)
    return services.Promise(
        name=told["name"],
        period=PeriodKind(told["period"]),
        amount_usd=told["amount_usd"],
        is_hard=told["hard"],
        thresholds=told["thresholds"],
        scope=scope_of(told["scope"]),
    )


class BudgetsApi(ProjectApi):
    """`GET` and `POST /api/v1/budgets`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}

    @extend_schema(responses=BudgetsOutput, operation_id="budgets_list")
    def get(self, request: ApiRequest) -> Response:
        """Every budget with its standing in the running period, the forecast of months included."""
        found = selectors.list_budgets(request.project)
        statuses = selectors.read_statuses(request.project, found, now=clock.now(), ahead=True)
        return Response(BudgetsOutput({"items": statuses}).data)

    @extend_schema(request=BudgetInput, responses={201: BudgetOutput}, operation_id="budgets_make")
    def post(self, request: ApiRequest) -> Response:
        """Make a budget. What the running period has spent already counts, and is told of at the next evaluation."""
        promise = promise_of(request)
        budget = services.make_budget(project=request.project, promise=promise, actor=request.actor, now=clock.now())
        return Response(shown(request, budget), status=201)


class BudgetApi(ProjectApi):
    """`GET`, `PUT` and `DELETE /api/v1/budgets/{uuid}`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"PUT": Role.ADMIN, "DELETE": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}

    @extend_schema(responses=BudgetOutput, operation_id="budgets_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One budget with its standing."""
        return Response(shown(request, selectors.get_budget(request.project, uuid)))

    @extend_schema(request=BudgetInput, responses=BudgetOutput, operation_id="budgets_change")
    def put(self, request: ApiRequest, uuid: UUID) -> Response:
        """Say anew what the budget says. A raised amount re-arms the thresholds that are out of reach again."""
        budget, promise = selectors.get_budget(request.project, uuid), promise_of(request)
        changed = services.change_budget(budget=budget, promise=promise, actor=request.actor, now=clock.now())
        return Response(shown(request, changed))

    @extend_schema(responses={204: None}, operation_id="budgets_archive")
    def delete(self, request: ApiRequest, uuid: UUID) -> Response:
        """Archive it: it is evaluated no more, and what it told stays readable."""
        budget = selectors.get_budget(request.project, uuid)
        services.archive_budget(budget=budget, actor=request.actor, now=clock.now())
        return Response(status=204)


class BudgetPreviewApi(ProjectApi):
    """`POST /api/v1/budgets/preview`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.VIEWER}

    @extend_schema(request=BudgetPreviewInput, responses=BudgetPreviewOutput, operation_id="budgets_preview")
    def post(self, request: ApiRequest) -> Response:
        """The last 30 days or 12 months as such a budget would have seen them. Nothing is kept."""
        told = validated(BudgetPreviewInput, request)
        found = selectors.preview(
            request.project,
            scope=scope_of(told["scope"]),
            kind=PeriodKind(told["period"]),
            amount_usd=told["amount_usd"],
            at=told["thresholds"],
            now=clock.now(),
        )
        return Response(BudgetPreviewOutput(found).data)
