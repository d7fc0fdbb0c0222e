"""JSON endpoint: the health of a set."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.evals import health
from apps.evals.selectors.set_health import figures_of
from apps.evals.selectors.sets import get_set
from apps.evals.services import set_health
from apps.evals.set_import_serializers import SetHealthOutput
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


class SetHealthApi(ProjectApi):
    """`GET /api/v1/eval-sets/{slug}/health`"""

    role: ClassVar[Role] = Role.VIEWER
    scope: ClassVar[Scope] = Scope.EVALS

    @extend_schema(responses=SetHealthOutput, operation_id="eval_sets_health")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """How far the set can be relied on: a line for each thing to look at, and the figures behind them.

        The figures are worked out in the background. While `is_current` is false they are of an older revision or
        more than an hour old, and `lines` is empty while there are none at all; ask again in some seconds.
        """
        eval_set = get_set(request.project, slug)
        row = set_health.ask(eval_set=eval_set, now=clock.now())
        found = figures_of(row)
        lines = [] if found is None else health.lines(found)
        answer = {
            "standing": health.worst(lines),
            "is_current": row.asked_at is None and row.revision == eval_set.head,
            "computed_at": row.computed_at,
            "revision": row.revision or None,
            "lines": lines,
            "text_coverage": None if found is None else found.text_coverage,
            "version_coverage": None if found is None else found.version_coverage,
            "figures": None if found is None else found.as_dict(),
        }
        return Response(SetHealthOutput(answer).data)
