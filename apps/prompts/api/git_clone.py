"""`git clone` of a project's own repository over HTTP, with a key that may read prompts. There is no pushing to it."""

from __future__ import annotations

import zlib
from typing import Any, ClassVar

from django.http import FileResponse, HttpResponse, HttpResponseBase
from drf_spectacular.utils import extend_schema
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request

from apps.core.bodies import TooLarge
from apps.core.errors import DomainError, NotFound
from apps.projects.access import ApiRequest, ProjectApi
from apps.projects.types import Role, Scope
from apps.prompts.services import git_local

SERVICE = "git-upload-pack"
MOST_ASKED_BYTES = 4 * 1024 * 1024
"""The most bytes of what a client says it wants and has, after decompression."""
READ_ONLY = (
    "This repository is made from the published versions and cannot be pushed to.\n"
    "Publish here, or connect a repository of your own to the project: see Prompts, Git.\n"
)


class CannotServe(DomainError):
    """The request is none of git's."""

    code, http_status = "git_cannot_serve", 400
    message = "This is not what a git client sends to read a repository."


class _AnyAnswer(BaseContentNegotiation):
    """Git asks for types of its own; errors are JSON whatever was asked for."""

    def select_parser(self, request: Request, parsers: Any) -> Any:
        return parsers[0]

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        return JSONRenderer(), JSONRenderer.media_type


class GitApi(ProjectApi):
    """What the addresses below `/git/` share: keys only, and a project that must be the key's own."""

    role: ClassVar[Role | None] = None
    scope: ClassVar[Scope | None] = Scope.PROMPTS_READ
    content_negotiation_class = _AnyAnswer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let a key in to its own project and to no other. Raises as always, and NotFound."""
        super().initial(request, *args, **kwargs)
        if request.project.slug != kwargs["project"]:  # type: ignore[attr-defined]
            raise NotFound

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        """As always; a git client is asked for Basic, the only kind it knows, with the key as the password."""
        done = super().finalize_response(request, response, *args, **kwargs)
        if done.status_code == 401 and "git" in request.headers.get("User-Agent", "").lower():
            done["WWW-Authenticate"] = 'Basic realm="Prodworthy: the password is an API key", charset="UTF-8"'
        return done


def _protocol(request: Request) -> str:
    return request.headers.get("Git-Protocol", "")


def _refused() -> HttpResponse:
    return HttpResponse(READ_ONLY, status=403, content_type="text/plain; charset=utf-8")


@extend_schema(exclude=True)
class GitRefsApi(GitApi):
    """The refs of the repository, which is brought up to date first."""

    def get(self, request: ApiRequest, project: str) -> HttpResponseBase:
        """Answer a client that wants to read; refuse one that wants to push."""
        if request.query_params.get("service") != SERVICE:
            return _refused()
        answer = git_local.advertise(request.project, _protocol(request))
        return _served(answer, f"application/x-{SERVICE}-advertisement")


@extend_schema(exclude=True)
class GitUploadPackApi(GitApi):
    """The objects that a client lacks."""

    def post(self, request: ApiRequest, project: str) -> HttpResponseBase:
        """Answer what the client wants and has."""
        if request._request.META.get("CONTENT_TYPE") != f"application/x-{SERVICE}-request":
            raise CannotServe
        answer = git_local.give_pack(request.project, _asked(request), _protocol(request))
        return _served(answer, f"application/x-{SERVICE}-result")


@extend_schema(exclude=True)
class GitReceivePackApi(GitApi):
    """Pushing, which there is not."""

    def post(self, request: ApiRequest, project: str) -> HttpResponseBase:
        """Say so."""
        return _refused()


def _asked(request: Request) -> bytes:
    """The body, inflated when it is compressed. Raises TooLarge or CannotServe."""
    sent: bytes = request._request.read(MOST_ASKED_BYTES + 1)
    encoding = request.headers.get("Content-Encoding", "identity")
    if encoding in {"gzip", "x-gzip"}:
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            sent = inflater.decompress(sent, MOST_ASKED_BYTES + 1)
        except zlib.error:
            raise CannotServe from None
    elif encoding != "identity":
        raise CannotServe
    if len(sent) > MOST_ASKED_BYTES:
        raise TooLarge(limit=MOST_ASKED_BYTES)
    return sent


def _served(answer: Any, kind: str) -> FileResponse:
    response = FileResponse(answer, content_type=kind)
    response["Cache-Control"] = "no-cache, max-age=0, must-revalidate"
    return response
