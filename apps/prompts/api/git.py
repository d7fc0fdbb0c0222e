"""JSON endpoints of prompts in git."""

from __future__ import annotations

from django.conf import settings
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.response import Response

from apps.core import clock
from apps.core.rest import validated
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.prompts.git import program
from apps.prompts.git_serializers import (
    GitOutput,
    GitRemoteOutput,
    GitSyncInput,
    GitSyncOutput,
    PromptInGitOutput,
)
from apps.prompts.selectors import git as selectors
from apps.prompts.services import git


class GitStateApi(ProjectApi):
    """`GET /api/v1/git`"""

    role = Role.EDITOR
    scope = Scope.PROMPTS_READ

    @extend_schema(responses=GitOutput, operation_id="git_state")
    def get(self, request: ApiRequest) -> Response:
        """How the repository and every prompt in it stand, and where the project's own repository is."""
        remote = selectors.find_remote(request.project)
        lines = selectors.in_git(remote) if remote is not None else []
        return Response(
            {
                "clone_url": f"{settings.PUBLIC_URL}/git/{request.project.slug}.git",
                "has_git": program.is_available(),
                "remote": None if remote is None else GitRemoteOutput(remote).data,
                "prompts": PromptInGitOutput(lines, many=True).data,
            }
        )


class GitSyncApi(ProjectApi):
    """`POST /api/v1/git/sync`"""

    role = Role.EDITOR
    scope = Scope.PROMPTS_WRITE

    @extend_schema(request=GitSyncInput, responses={202: GitSyncOutput}, operation_id="git_sync")
    def post(self, request: ApiRequest) -> Response:
        """Have the repository looked at now: what changed there is fetched, what was published here is sent."""
        validated(GitSyncInput, request)
        now = clock.now()
        git.ask_for_sync(remote=selectors.get_remote(request.project), now=now)
        return Response({"due_at": now}, status=status.HTTP_202_ACCEPTED)
