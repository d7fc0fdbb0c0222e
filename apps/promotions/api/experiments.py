"""JSON endpoints of experiments: drafting, starting, ramping, stopping, finishing, and their looks."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import person_behind
from apps.projects.types import Role, Scope
from apps.promotions.experiment_serializers import (
    ExperimentChange,
    ExperimentInput,
    ExperimentLooksQuery,
    ExperimentOutput,
    ExperimentsOutput,
    ExperimentsQuery,
    FinishInput,
    LooksOutput,
    RampInput,
    StopInput,
    WinnerOutput,
)
from apps.promotions.models import Experiment
from apps.promotions.selectors import experiments as selectors
from apps.promotions.services import experiment_drafts as drafts
from apps.promotions.services import experiment_winners as winners
from apps.promotions.services import experiments as services
from apps.promotions.types import ExperimentState
from apps.prompts import selectors as prompts


def is_reviewer(request: ApiRequest) -> bool:
    """Whether the caller may move traffic of a protected environment: a key with this scope may."""
    if request.identity is not None:
        return Scope.PROMOTIONS.value in request.identity.scopes
    return request.membership is not None and request.membership.rank.allows(Role.REVIEWER)


def told(experiment: Experiment, status: int = 200) -> Response:
    """The experiment as it stands now."""
    return Response(ExperimentOutput(selectors.line_of(experiment)).data, status=status)


class ExperimentsApi(ProjectApi):
    """`GET` and `POST /api/v1/experiments`"""

    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMOTIONS}

    @extend_schema(parameters=[ExperimentsQuery], responses=ExperimentsOutput, operation_id="experiments_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's experiments: running ones first, then drafts, then those that are over."""
        query = validated_query(ExperimentsQuery, request)
        state = None if query["state"] is None else ExperimentState(query["state"])
        lines = selectors.list_experiments(
            request.project, state=state, prompt=query["prompt"], environment=query["environment"]
        )
        return Response(ExperimentsOutput({"items": lines}).data)

    @extend_schema(request=ExperimentInput, responses={201: ExperimentOutput}, operation_id="experiments_create")
    def post(self, request: ApiRequest) -> Response:
        """Draft an experiment; nothing is served by it yet. 422 names each field of the plan that needs a change."""
        body = validated(ExperimentInput, request)
        new = drafts.NewExperiment(
            name=body["name"],
            slug=body["slug"],
            hypothesis=body["hypothesis"],
            prompt=prompts.get_prompt(request.project, body["prompt"]),
            environment=prompts.get_environment(request.project, body["environment"]),
            plan=body["plan"],
        )
        made = drafts.create(project=request.project, experiment=new, actor=request.actor, now=clock.now())
        return told(made, 201)


class ExperimentApi(ProjectApi):
    """`GET` and `PATCH /api/v1/experiments/{slug}`"""

    roles: ClassVar[dict[str, Role]] = {"PATCH": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"PATCH": Scope.PROMOTIONS}

    @extend_schema(responses=ExperimentOutput, operation_id="experiments_get")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """One experiment with its plan and its newest figures."""
        return told(selectors.get_experiment(request.project, slug))

    @extend_schema(request=ExperimentChange, responses=ExperimentOutput, operation_id="experiments_change")
    def patch(self, request: ApiRequest, slug: str) -> Response:
        """Change name, hypothesis, or the plan of a draft (409 `not_a_draft` once it was started)."""
        body = validated(ExperimentChange, request)
        found = selectors.get_experiment(request.project, slug)
        return told(drafts.change(experiment=found, actor=request.actor, now=clock.now(), **body))


class ExperimentStartApi(ProjectApi):
    """`POST /api/v1/experiments/{slug}/start`"""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    @extend_schema(request=None, responses=ExperimentOutput, operation_id="experiments_start")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Serve the arms to the first share. What is live is the control; in a protected environment every treatment
        needs an approval (409 `arm_not_approved`)."""
        found = selectors.get_experiment(request.project, slug)
        return told(
            services.start(experiment=found, actor=request.actor, is_reviewer=is_reviewer(request), now=clock.now())
        )


class ExperimentRampApi(ProjectApi):
    """`POST /api/v1/experiments/{slug}/ramp`"""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    @extend_schema(request=RampInput, responses=ExperimentOutput, operation_id="experiments_ramp")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Go to the next share, or back to the one before. Who takes part already stays in the same arm."""
        body = validated(RampInput, request)
        found = selectors.get_experiment(request.project, slug)
        return told(
            services.ramp(
                experiment=found,
                forward=body["direction"] == "next",
                actor=request.actor,
                is_reviewer=is_reviewer(request),
                now=clock.now(),
            )
        )


class ExperimentStopApi(ProjectApi):
    """`POST /api/v1/experiments/{slug}/stop`"""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    @extend_schema(request=StopInput, responses=ExperimentOutput, operation_id="experiments_stop")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """End it without a winner; everybody gets what is live. Stopping again changes nothing."""
        body = validated(StopInput, request)
        found = selectors.get_experiment(request.project, slug)
        return told(services.stop(experiment=found, actor=request.actor, now=clock.now(), reason=body["reason"]))


class ExperimentFinishApi(ProjectApi):
    """`POST /api/v1/experiments/{slug}/finish`"""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    @extend_schema(request=FinishInput, responses=ExperimentOutput, operation_id="experiments_finish")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Name the winner, which the newest figures must say is better (409 `no_winner`). The split ends."""
        body = validated(FinishInput, request)
        found = selectors.get_experiment(request.project, slug)
        return told(
            winners.finish(
                experiment=found,
                winner=body["winner"],
                actor=request.actor,
                is_reviewer=is_reviewer(request),
                now=clock.now(),
            )
        )


class ExperimentPromoteApi(ProjectApi):
    """`POST /api/v1/experiments/{slug}/promote`"""

    role = Role.EDITOR
    scope = Scope.PROMOTIONS

    @extend_schema(request=None, responses={201: WinnerOutput}, operation_id="experiments_promote")
    def post(self, request: ApiRequest, slug: str) -> Response:
        """Ask for the winner to be live: a promotion with its gates and approvals, like any other."""
        found = selectors.get_experiment(request.project, slug)
        asked = winners.promote_winner(
            experiment=found,
            actor=request.actor,
            person=person_behind(request.user, request.identity),
            now=clock.now(),
        )
        shown: dict[str, object] = {"promotion": None, "state": "live"}
        if asked is not None:
            shown = {"promotion": asked.number, "state": asked.state}
        return Response(WinnerOutput(shown).data, status=201)


class ExperimentLooksApi(ProjectApi):
    """`GET /api/v1/experiments/{slug}/looks`"""

    @extend_schema(parameters=[ExperimentLooksQuery], responses=LooksOutput, operation_id="experiments_looks")
    def get(self, request: ApiRequest, slug: str) -> Response:
        """What every look at the figures said, newest first."""
        query = validated_query(ExperimentLooksQuery, request)
        found = selectors.get_experiment(request.project, slug)
        looks = selectors.list_looks(found, most=query["limit"] + 1, before=query["before"])[::-1]
        shown = looks[: query["limit"]]
        following = shown[-1].at if len(looks) > len(shown) else None
        return Response(LooksOutput({"items": shown, "next": following}).data)
