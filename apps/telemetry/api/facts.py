"""JSON endpoints that read retrievals, tasks and tool runs."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.telemetry.fact_serializers import AgentsOutput, FactQuery, RetrievalOutput
from apps.telemetry.fact_shapes import agents_shape, retrieval_shape
from apps.telemetry.figures import Interval
from apps.telemetry.selectors import agents, retrievals
from apps.telemetry.selectors.fact_cells import FactScope


class FactApi(ProjectApi):
    """Reading: any member, and keys with the scope `read`."""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.READ


def _scope(request: ApiRequest) -> FactScope:
    query = FactQuery(data=request.query_params)
    query.is_valid(raise_exception=True)
    asked = query.validated_data
    return FactScope(
        start=asked["from"],
        end=asked["to"],
        interval=Interval(asked["interval"]),
        environment=asked.get("environment"),
        feature=asked.get("feature"),
    )


class RetrievalApi(FactApi):
    """`GET /api/v1/retrieval`"""

    @extend_schema(parameters=[FactQuery], responses=RetrievalOutput)
    def get(self, request: ApiRequest) -> Response:
        """What retrievals find, how well it matches and how much of it is used; the numbers of the Retrieval page.

        `utilisation` is by the method by which it was found: `marked`, `citation` or `overlap`. Facts follow the
        intake within seconds.
        """
        scope, project_id = _scope(request), request.project.pk
        table = retrievals.read_retrievals(project_id, scope)
        ages = retrievals.index_ages(project_id, sorted(table.by_name), until=scope.end)
        return Response(retrieval_shape(table, retrievals.worst_retrievals(project_id, scope), ages))


class AgentsApi(FactApi):
    """`GET /api/v1/agents`"""

    @extend_schema(parameters=[FactQuery], responses=AgentsOutput)
    def get(self, request: ApiRequest) -> Response:
        """How tasks of agents end, how many steps they take, and which tools fail; the numbers of the Agents page.

        A task is the outermost agent span of a branch of a trace. Facts follow the intake within seconds.
        """
        scope, project_id = _scope(request), request.project.pk
        tables = agents.read_agents(project_id, scope)
        return Response(agents_shape(tables, agents.worst_tasks(project_id, scope)))
