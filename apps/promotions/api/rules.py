"""JSON endpoints of release rules."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import not_modified, validated
from apps.evals.models import Gate
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.models import Environment
from apps.projects.types import Role, Scope
from apps.promotions.models import ReleaseRule
from apps.promotions.rule_serializers import RuleInput, RuleOutput, RuleSettings, RulesOutput
from apps.promotions.selectors import rule_pages
from apps.promotions.selectors import rules as selectors
from apps.promotions.services import rules as services
from apps.prompts.models import Prompt
from apps.prompts.selectors import get_prompt
from apps.prompts.selectors.versions import get_environment

SETTINGS = ("approvals_needed", "asks_on_merge", "guardrails", "rolls_back", "watch_hours")


def _set(
    request: ApiRequest, body: dict[str, Any], environment: Environment, prompt: Prompt | None, feature: str
) -> ReleaseRule:
    """Set the rule as the body has it. Raises Invalid for a gate that is not there."""
    new = services.NewRule(
        environment=environment,
        gates=_gates(request, body["gates"]),
        prompt=prompt,
        feature=feature,
        **{name: body[name] for name in SETTINGS},
    )
    return services.set_rule(project=request.project, rule=new, actor=request.actor, now=clock.now())


def _gates(request: ApiRequest, slugs: list[str]) -> list[Gate]:
    found = rule_pages.gates_named(request.project, slugs)
    missing = sorted(set(slugs) - {gate.slug for gate in found})
    if missing:
        raise Invalid(gates=[f"There is no gate {slug} in this project." for slug in missing])
    return found


class RulesApi(ProjectApi):
    """`GET` and `POST /api/v1/release-rules`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.ADMIN}
    also: ClassVar[dict[str, Scope]] = {"GET": Scope.PROMOTIONS}

    @extend_schema(responses=RulesOutput, operation_id="release_rules_list")
    def get(self, request: ApiRequest) -> Response:
        """The project's rules by environment, the most general first."""
        return Response(RulesOutput({"items": selectors.list_rules(request.project)}).data)

    @extend_schema(request=RuleInput, responses={201: RuleOutput}, operation_id="release_rules_set")
    def post(self, request: ApiRequest) -> Response:
        """Set the rule for a prompt, a feature, or everything in an environment, in place of the one that there is."""
        body = validated(RuleInput, request)
        environment = get_environment(request.project, body["environment"])
        prompt = get_prompt(request.project, body["prompt"]) if body["prompt"] else None
        rule = _set(request, body, environment, prompt, body["feature"])
        return Response(RuleOutput(rule).data, status=201)


class RuleApi(ProjectApi):
    """`GET`, `PUT` and `DELETE /api/v1/release-rules/{uuid}`"""

    scope = Scope.READ
    roles: ClassVar[dict[str, Role]] = {"PUT": Role.ADMIN, "DELETE": Role.ADMIN}
    scopes: ClassVar[dict[str, Scope]] = {"PUT": Scope.ADMIN, "DELETE": Scope.ADMIN}
    also: ClassVar[dict[str, Scope]] = {"GET": Scope.PROMOTIONS}

    @extend_schema(responses=RuleOutput, operation_id="release_rules_get")
    def get(self, request: ApiRequest, uuid: UUID) -> Response:
        """One rule. It carries an ETag."""
        return not_modified(request, Response(RuleOutput(selectors.get_rule(request.project, uuid)).data))

    @extend_schema(request=RuleSettings, responses=RuleOutput, operation_id="release_rules_change")
    def put(self, request: ApiRequest, uuid: UUID) -> Response:
        """Change what the rule asks for; what is left out is as usual. Other gates or approvals void what waits."""
        body = validated(RuleSettings, request)
        rule = selectors.get_rule(request.project, uuid)
        return Response(RuleOutput(_set(request, body, rule.environment, rule.prompt, rule.feature)).data)

    @extend_schema(responses={204: None}, operation_id="release_rules_remove")
    def delete(self, request: ApiRequest, uuid: UUID) -> Response:
        """Take the rule away: a more general one counts then, and without one nothing gets in."""
        rule = selectors.get_rule(request.project, uuid)
        services.remove_rule(rule=rule, actor=request.actor, now=clock.now())
        return Response(status=204)
