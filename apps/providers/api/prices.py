"""JSON endpoints: the price book and the project's own prices."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.providers import selectors, services
from apps.providers.serializers import PriceEndInput, PriceInput, PriceOutput, PricePageOutput, PriceQuery


class PricesApi(ProjectApi):
    """The prices that the project's calls are worked out with."""

    roles: ClassVar[dict[str, Role]] = {"POST": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}

    @extend_schema(parameters=[PriceQuery], responses=PricePageOutput)
    def get(self, request: ApiRequest) -> Response:
        """Prices in force on a day, the project's own and the price file's, in the order of their names."""
        query = PriceQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        chosen = query.validated_data
        page = selectors.list_prices(
            request.project,
            on=chosen["on"] or clock.now().date(),
            model=chosen["model"],
            provider=chosen["provider"],
            source=chosen["source"],
            after=chosen["cursor"],
            limit=chosen["limit"],
        )
        following = None if page.next is None else str(page.next)
        return Response({"items": PriceOutput(page.items, many=True).data, "next": following})

    @extend_schema(request=PriceInput, responses={201: PriceOutput})
    def post(self, request: ApiRequest) -> Response:
        """Set the project's own price of a model from a day on. Costs that were worked out before keep."""
        body = validated(PriceInput, request)
        now = clock.now()
        price = services.add_own_price(
            project=request.project,
            provider=body["provider"],
            model=body["model"],
            rates=body["rates"],
            starts_on=body["starts_on"] or now.date(),
            ends_on=body["ends_on"],
            actor=request.actor,
            now=now,
        )
        return Response(PriceOutput(price).data, status=201)


class PriceEndApi(ProjectApi):
    """Ending an own price."""

    role = Role.ADMIN
    scope = Scope.ADMIN

    @extend_schema(request=PriceEndInput, responses=PriceOutput)
    def post(self, request: ApiRequest, price: UUID) -> Response:
        """Let the price end on a day; the price file's price holds again from then on."""
        body = validated(PriceEndInput, request)
        now = clock.now()
        ended = services.end_own_price(
            price=selectors.get_own_price(request.project, price),
            ends_on=body["ends_on"] or now.date(),
            actor=request.actor,
            now=now,
        )
        return Response(PriceOutput(ended).data)
