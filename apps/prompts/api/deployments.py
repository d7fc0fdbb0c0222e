"""JSON endpoints of what is live: deploying, and the history of it."""

from __future__ import annotations

from typing import ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.prompts import selectors, services
from apps.prompts.deployment_serializers import (
    DeploymentInput,
    DeploymentOutput,
    DeploymentsOutput,
    DeploymentsQuery,
    WithdrawalQuery,
)
from apps.prompts.selectors.live import deployments_page


class DeploymentsApi(ProjectApi):
    """`GET`, `POST` and `DELETE /api/v1/prompts/{name}/deployments`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR, "DELETE": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE, "DELETE": Scope.PROMPTS_WRITE}

    @extend_schema(parameters=[DeploymentsQuery], responses=DeploymentsOutput, operation_id="prompt_deployments_list")
    def get(self, request: ApiRequest, prompt: str) -> Response:
        """What of the prompt is live where, and what was, newest first."""
        query = validated_query(DeploymentsQuery, request)
        found = selectors.get_prompt(request.project, prompt)
        page = deployments_page(found, **query)
        return Response(DeploymentsOutput(page._asdict()).data)

    @extend_schema(request=DeploymentInput, responses={201: DeploymentOutput}, operation_id="prompt_deployments_create")
    def post(self, request: ApiRequest, prompt: str) -> Response:
        """Make a version live in an environment, in place of what is live there; repeating it changes nothing.

        Every process answers it within five seconds. 409 `protected_environment` where only promotions lead.
        """
        body = validated(DeploymentInput, request)
        found = selectors.get_prompt(request.project, prompt)
        deployment = services.deploy(
            prompt=found,
            version=selectors.get_version(found, body["version"]),
            environment=selectors.get_environment(request.project, body["environment"]),
            actor=request.actor,
            now=clock.now(),
            reason=body["reason"],
            model=body["model"],
        )
        return Response(DeploymentOutput(deployment).data, status=201)

    @extend_schema(parameters=[WithdrawalQuery], responses={204: None}, operation_id="prompt_deployments_end")
    def delete(self, request: ApiRequest, prompt: str) -> Response:
        """Let nothing of the prompt be live in an environment; who asks is told so. Repeating it changes nothing."""
        query = validated_query(WithdrawalQuery, request)
        services.withdraw(
            prompt=selectors.get_prompt(request.project, prompt),
            environment=selectors.get_environment(request.project, query["environment"]),
            actor=request.actor,
            now=clock.now(),
            reason=query["reason"],
        )
        return Response(status=204)
