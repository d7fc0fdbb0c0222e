"""JSON endpoint of comparisons."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated_query
from apps.evals.compare import Settings
from apps.evals.comparison_serializers import ComparisonOutput, ComparisonQuery
from apps.evals.selectors.runs import get_run
from apps.evals.services.comparisons import comparison_of
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope


class ComparisonsApi(ProjectApi):
    """`GET /api/v1/comparisons`"""

    role = Role.VIEWER
    scope = Scope.EVALS

    @extend_schema(parameters=[ComparisonQuery], responses=ComparisonOutput, operation_id="comparisons_retrieve")
    def get(self, request: ApiRequest) -> Response:
        """Whether one run is better than another over the same set: paired statistics, tail, latency, cost, verdict.

        422 `runs_not_comparable` for runs of different sets, 409 `run_open` for one that goes on. More than 5,000
        results are compared by a worker; ask again while `state` is `computing`.
        """
        query = validated_query(ComparisonQuery, request)
        candidate, baseline = (get_run(request.project, query[side]) for side in ("candidate", "baseline"))
        settings = Settings(margin=query["margin"], tail_margin=query["tail_margin"])
        found = comparison_of(candidate, baseline, settings, clock.now()).outcome
        figures = None
        if found is not None:
            figures = found.as_dict()
            figures["examples"] = figures["examples"][: query["examples"]]
        told = {
            "state": "computing" if found is None else "done",
            "candidate": candidate,
            "baseline": baseline,
            "eval_set": candidate.eval_set.slug,
            "verdict": None if found is None else found.verdict.value,
            "sentence": "" if found is None else found.sentence,
            "figures": figures,
        }
        return Response(ComparisonOutput(told).data)
