"""The only way from a request to a project.

Whoever is not a member gets the same 404 as for a project that does not exist; a member whose role is too low
gets 403.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ClassVar, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import Forbidden, Invalid, NotFound, Unauthenticated
from apps.core.permissions import SAFE_METHODS, Permission, declare
from apps.core.permissions import open_page as open_page
from apps.core.permissions import permission_of as permission_of
from apps.core.permissions import person_page as person_page
from apps.core.permissions import token_page as token_page
from apps.projects import authentication, selectors
from apps.projects.models import Membership, Project
from apps.projects.types import Actor, KeyIdentity, Role, Scope

LAST_PROJECT = "last_project"

P = ParamSpec("P")


class PersonRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User


class ProjectRequest(PersonRequest):
    """A page request that was let in to a project."""

    project: Project
    membership: Membership
    actor: Actor


class ApiRequest(Request):
    """An API request that was let in to a project. `identity` is the key's, None for a person."""

    project: Project
    actor: Actor
    identity: KeyIdentity | None
    membership: Membership | None


def actor_of(user: User) -> Actor:
    """The person as the one who acts."""
    return Actor(kind="user", id=user.pk, name=user.email)


PageView = Callable[Concatenate[ProjectRequest, Project, P], HttpResponseBase]


def project_page(
    role: Role = Role.VIEWER, *, unsafe: Role | None = None
) -> Callable[[PageView[P]], Callable[..., HttpResponseBase]]:
    """Let in members with the role; `unsafe` is the role for methods that change something, when it is
    higher.

    The view is called with the project in place of the slug in its address.
    """
    roles = {"*": unsafe.value, **dict.fromkeys(SAFE_METHODS, role.value)} if unsafe else {"*": role.value}
    permission = Permission(kind="project", roles=roles)

    def decorate(view: PageView[P]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def let_in(request: HttpRequest, project: str, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            try:
                membership = selectors.get_membership(user=request.user, slug=project)
                enter(request, membership, Role(permission.role_for(request.method or "GET") or Role.ADMIN))
                return view(request, membership.project, *args, **kwargs)  # type: ignore[arg-type]
            except NotFound as error:
                raise Http404 from error
            except Forbidden as error:
                raise PermissionDenied(error.text) from error

        return declare(let_in, permission)

    return decorate


def enter(request: HttpRequest, membership: Membership, needed: Role) -> None:
    """Put the project, the membership and the actor on the request. Raises Forbidden below the needed role."""
    request.project = membership.project  # type: ignore[attr-defined]
    request.membership = membership  # type: ignore[attr-defined]
    request.actor = actor_of(membership.user)  # type: ignore[attr-defined]
    if request.session.get(LAST_PROJECT) != membership.project.slug:
        request.session[LAST_PROJECT] = membership.project.slug
    if not membership.rank.allows(needed):
        raise Forbidden


class KeyOrSession(BaseAuthentication):
    """An API key decides alone when one is sent; otherwise the session does, with its CSRF token for every
    change.
    """

    def authenticate(self, request: Request) -> tuple[Any, KeyIdentity | None]:
        """The person or the key's identity. Raises Unauthenticated for neither."""
        authentication.refuse_key_in_query(request.META.get("QUERY_STRING", ""))
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = authentication.key_from_headers(headers)
        if raw is not None:
            return None, authentication.identify_key(raw, now=clock.now())
        user = getattr(request._request, "user", None)
        if user is None or not user.is_authenticated:
            raise Unauthenticated
        _require_csrf_token(request._request)
        return user, None

    def authenticate_header(self, request: Request) -> str:
        """What a 401 names as the way in."""
        return "Bearer"


def _require_csrf_token(request: HttpRequest) -> None:
    """Raise Forbidden for a change without the session's CSRF token."""

    def never(_: HttpRequest) -> HttpResponse:
        raise AssertionError("only the check is run")

    check = CsrfViewMiddleware(never)
    check.process_request(request)
    # DRF exempts its views; here the check is asked for by hand.
    if check.process_view(request, _unexempted, (), {}) is not None:
        raise Forbidden("The CSRF token is missing or old. Reload the page, or send an API key instead.")


def _unexempted(request: HttpRequest) -> HttpResponse:
    """A view without CSRF exemption, for the check above."""
    raise AssertionError("never called")


class ProjectApi(APIView):
    """An endpoint of one project. Subclasses say which role a person and which scope a key needs.

    A key brings its project; a person names it with the header `X-Project` or `?project=`, unless they have
    only one. `role = None` keeps people out, `scope = None` keeps keys out. By method, `also` is another scope that
    does as well as the one that is needed.
    """

    role: ClassVar[Role | None] = Role.VIEWER
    scope: ClassVar[Scope | None] = Scope.READ
    roles: ClassVar[dict[str, Role]] = {}
    scopes: ClassVar[dict[str, Scope]] = {}
    also: ClassVar[dict[str, Scope]] = {}

    authentication_classes = [KeyOrSession]
    # What DRF calls permission is decided in `initial`, where the project is known.
    permission_classes = [AllowAny]
    http_method_names = ["get", "head", "post", "put", "patch", "delete"]

    permission: ClassVar[Permission]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Write down the permission, so that the URL table can be checked without a request."""
        super().__init_subclass__(**kwargs)
        roles = {method: role.value for method, role in cls.roles.items()}
        scopes = {method: scope.value for method, scope in cls.scopes.items()}
        if cls.role is not None:
            roles["*"] = cls.role.value
        if cls.scope is not None:
            scopes["*"] = cls.scope.value
        also = {method: scope.value for method, scope in cls.also.items()}
        cls.permission = Permission(kind="api", roles=roles, scopes=scopes, also=also)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Let the caller in to their project, or raise Unauthenticated, NotFound or Forbidden."""
        super().initial(request, *args, **kwargs)
        method = "GET" if request.method == "HEAD" else request.method or "GET"
        identity: KeyIdentity | None = request.auth  # type: ignore[assignment]
        if identity is not None:
            self._enter_by_key(request, identity, method)
        else:
            self._enter_as_member(request, method)

    def _enter_by_key(self, request: Request, identity: KeyIdentity, method: str) -> None:
        scope = self.permission.scope_for(method)
        if scope is None:
            raise Forbidden("This is for people who are signed in, not for keys.")
        if self.permission.also.get(method) not in identity.scopes:
            authentication.require_scope(identity, Scope(scope))
        named = _named_project(request)
        if named and named != identity.project_slug:
            raise NotFound
        request.project = selectors.get_project(identity.project_id)  # type: ignore[attr-defined]
        request.actor = identity.actor  # type: ignore[attr-defined]
        request.identity = identity  # type: ignore[attr-defined]
        request.membership = None  # type: ignore[attr-defined]

    def _enter_as_member(self, request: Request, method: str) -> None:
        role = self.permission.role_for(method)
        if role is None:
            raise Forbidden("This is for API keys, not for people.")
        membership = self._membership(request)
        if not membership.rank.allows(Role(role)):
            raise Forbidden
        request.project = membership.project  # type: ignore[attr-defined]
        request.actor = actor_of(membership.user)  # type: ignore[attr-defined]
        request.identity = None  # type: ignore[attr-defined]
        request.membership = membership  # type: ignore[attr-defined]

    def _membership(self, request: Request) -> Membership:
        user, named = request.user, _named_project(request)
        assert isinstance(user, User)
        if named:
            return selectors.get_membership(user=user, slug=named)
        memberships = selectors.list_memberships(user=user)
        if not memberships:
            raise NotFound
        if len(memberships) > 1:
            raise Invalid("You are in several projects: name one with the header X-Project or with ?project=.")
        return memberships[0]

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Response:
        """As always, and a 401 says how to sign in, as HTTP wants it."""
        done: Response = super().finalize_response(request, response, *args, **kwargs)
        if done.status_code == 401:
            done["WWW-Authenticate"] = "Bearer"
        return done


def _named_project(request: Request) -> str:
    """The slug in the header or the query; the header decides."""
    return request.headers.get("X-Project", "") or request.query_params.get("project", "")
