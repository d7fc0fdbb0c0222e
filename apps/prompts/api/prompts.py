"""JSON endpoints of prompts and their versions."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework.response import Response

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import Invalid
from apps.core.rest import not_modified, validated, validated_query
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.selectors import find_member
from apps.projects.types import Role, Scope
from apps.prompts import selectors, semver, services
from apps.prompts.content import content_from_dict
from apps.prompts.models import Prompt, Version
from apps.prompts.selectors.people import author_of
from apps.prompts.serializers import (
    PlanOutput,
    PromptChange,
    PromptInput,
    PromptOutput,
    PromptsOutput,
    PromptsQuery,
    VersionInput,
    VersionLine,
    VersionOutput,
    VersionsOutput,
    VersionsQuery,
    WholePromptOutput,
)
from apps.prompts.types import Bump, Origin


def _is_admin(request: ApiRequest) -> bool:
    """Whether the caller is an admin, or a key that may do what an admin may."""
    if request.identity is not None:
        return Scope.ADMIN.value in request.identity.scopes
    return request.membership is not None and request.membership.rank.allows(Role.ADMIN)


def _owner(request: ApiRequest, email: str | None) -> User | None:
    """The member with this address. Raises Invalid for anybody else."""
    if email is None:
        return None
    member = find_member(request.project, email)
    if member is None:
        raise Invalid(owner=["The owner must be a member of the project."])
    return member.user


def _whole(prompt: Prompt) -> dict[str, Any]:
    line = selectors.prompt_line(prompt)
    latest = selectors.latest_version(prompt)
    return {**PromptOutput(line).data, "version": None if latest is None else VersionOutput(latest).data}


class PromptsApi(ProjectApi):
    """`GET` and `POST /api/v1/prompts`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}

    @extend_schema(parameters=[PromptsQuery], responses=PromptsOutput, operation_id="prompts_list")
    def get(self, request: ApiRequest) -> Response:
        """Prompts in the order of their names, with what is live where."""
        query = validated_query(PromptsQuery, request)
        page = selectors.list_prompts(
            request.project,
            words=query["q"],
            folder=query["folder"],
            tag=query["tag"],
            with_archived=query["archived"],
            after=query["cursor"],
            limit=query["limit"],
        )
        return Response({"items": PromptOutput(page.items, many=True).data, "next": page.next})

    @extend_schema(request=PromptInput, responses={201: WholePromptOutput}, operation_id="prompts_create")
    def post(self, request: ApiRequest) -> Response:
        """Make a prompt; with a content, publish its first version, 1.0.0, in the same step."""
        body = validated(PromptInput, request)
        content = content_from_dict(body["content"]) if "content" in body else None
        prompt = services.create_with_version(
            project=request.project,
            name=body["name"],
            description=body["description"],
            owner=_owner(request, body["owner"]),
            tags=body["tags"],
            content=content,
            note=body["note"],
            author=author_of(request.membership, request.identity),
            actor=request.actor,
            now=clock.now(),
            origin=Origin.API,
        )
        return Response(_whole(prompt), status=201)


class PromptApi(ProjectApi):
    """`GET` and `PATCH /api/v1/prompts/{name}`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ
    roles: ClassVar[dict[str, Role]] = {"PATCH": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"PATCH": Scope.PROMPTS_WRITE}

    @extend_schema(responses=WholePromptOutput, operation_id="prompts_read")
    def get(self, request: ApiRequest, prompt: str) -> Response:
        """The prompt with its newest version. A former name finds it, too."""
        return not_modified(request, Response(_whole(selectors.get_prompt(request.project, prompt))))

    @extend_schema(request=PromptChange, responses=WholePromptOutput, operation_id="prompts_change")
    def patch(self, request: ApiRequest, prompt: str) -> Response:
        """Change description, owner, tags or name, archive it or bring it back. Versions never change.

        To change its feature takes an admin, since release rules may be for a feature.
        """
        body = validated(PromptChange, request)
        found = selectors.get_prompt(request.project, prompt)
        changes = services.Changes(
            name=body.get("name"),
            description=body.get("description"),
            sets_owner="owner" in body,
            owner=_owner(request, body.get("owner")),
            tags=body.get("tags"),
            feature=body.get("feature"),
            is_admin=_is_admin(request),
            is_archived=body.get("archived"),
        )
        services.amend_prompt(prompt=found, changes=changes, actor=request.actor, now=clock.now())
        return Response(_whole(selectors.get_prompt(request.project, body.get("name", found.name))))


class VersionsApi(ProjectApi):
    """`GET` and `POST /api/v1/prompts/{name}/versions`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ
    roles: ClassVar[dict[str, Role]] = {"POST": Role.EDITOR}
    scopes: ClassVar[dict[str, Scope]] = {"POST": Scope.PROMPTS_WRITE}

    @extend_schema(parameters=[VersionsQuery], responses=VersionsOutput, operation_id="prompt_versions_list")
    def get(self, request: ApiRequest, prompt: str) -> Response:
        """The prompt's versions, newest first."""
        query = validated_query(VersionsQuery, request)
        before = semver.parse(query["cursor"]) if query["cursor"] else None
        if query["cursor"] and before is None:
            raise Invalid(cursor=["Use the cursor of the page before."])
        found = selectors.get_prompt(request.project, prompt)
        versions = selectors.list_versions(found, before=before, limit=query["limit"] + 1)
        shown = versions[: query["limit"]]
        following = str(shown[-1].number) if len(versions) > len(shown) else None
        return Response({"items": VersionLine(shown, many=True).data, "next": following})

    @extend_schema(
        request=VersionInput,
        responses={200: PlanOutput, 201: VersionOutput},
        operation_id="prompt_versions_create",
    )
    def post(self, request: ApiRequest, prompt: str) -> Response:
        """Publish the next version. Its number follows from what changed, unless a larger step or a number is named.

        With `dry_run`, nothing is published and the answer (200) says what it would become. 409 `same_content` when a
        version says exactly this, `breaking_lowered` when the step is too small for what changed, `version_taken` for
        a number that is not higher than the newest, `moved_on` when `base` is not the newest version any more.
        """
        body = validated(VersionInput, request)
        found = selectors.get_prompt(request.project, prompt)
        content = content_from_dict(body["content"])
        bump = Bump(body["bump"]) if body["bump"] else None
        if body["dry_run"]:
            return Response(PlanOutput(services.plan(prompt=found, content=content, bump=bump)).data)
        base = selectors.get_version(found, body["base"]) if body["base"] else None
        version = services.publish(
            prompt=found,
            content=content,
            note=body["note"],
            bump=bump,
            number=body["version"],
            lowered_because=body["lowered_because"],
            origin=Origin.API,
            author=author_of(request.membership, request.identity),
            actor=request.actor,
            base=base,
            checks_base=base is not None,
            now=clock.now(),
        )
        return Response(VersionOutput(version).data, status=201)


class VersionApi(ProjectApi):
    """`GET /api/v1/prompts/{name}/versions/{version}`"""

    role = Role.VIEWER
    scope = Scope.PROMPTS_READ

    @extend_schema(responses=VersionOutput, operation_id="prompt_versions_read")
    def get(self, request: ApiRequest, prompt: str, version: str) -> Response:
        """One version with what it says; `latest` is the newest one."""
        found = selectors.get_prompt(request.project, prompt)
        chosen: Version = selectors.get_version(found, version)
        return not_modified(request, Response(VersionOutput(chosen).data))
