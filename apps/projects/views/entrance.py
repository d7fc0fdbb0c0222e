"""The ways in: the front door, the set-up link, an invitation, a new project."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache

from apps.accounts import selectors as people
from apps.accounts import services as accounts
from apps.accounts.models import User
from apps.accounts.sign_in import sign_in
from apps.core import clock
from apps.core.errors import Invalid
from apps.projects import selectors, services, shown_once
from apps.projects.access import LAST_PROJECT, PersonRequest, actor_of, open_page, person_page, token_page
from apps.projects.adapters import INVITATION
from apps.projects.forms import JoinForm, ProjectForm, SetupForm, show_error
from apps.projects.models import Invitation


@open_page
def home(request: HttpRequest) -> HttpResponse:
    """The last project, or the only one, or the page that makes one; the way in for whoever is not signed in."""
    if not isinstance(request.user, User):
        if people.has_accounts():
            return redirect("account_login")
        return render(request, "projects/welcome.html")
    slugs = [membership.project.slug for membership in selectors.list_memberships(user=request.user)]
    if not slugs:
        return redirect("project_new")
    last = request.session.get(LAST_PROJECT)
    return redirect("overview", project=last if last in slugs else slugs[0])


@token_page
@never_cache
def setup(request: HttpRequest, token: str) -> HttpResponse:
    """The first account: a form behind a one-time link."""
    now = clock.now()
    form = SetupForm(request.POST or None)
    try:
        people.get_setup_link(token, now=now)
        if request.method == "POST" and form.is_valid():
            made = services.set_up(token=token, now=now, **form.cleaned_data)
            sign_in(request, made.user)
            shown_once.keep_first_key(request.session, project=made.project, raw=made.raw_key, now=now)
            return redirect("overview", project=made.project.slug)
    except (people.SetupLinkInvalid, accounts.AccountExists):
        return render(request, "projects/setup_gone.html", {"has_accounts": people.has_accounts()}, status=404)
    except Invalid as error:
        show_error(form, error)
    return render(request, "projects/setup.html", {"form": form}, status=422 if form.errors else 200)


@token_page
@never_cache
def invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join a project: as who is signed in, or with a new account for the invited address."""
    now = clock.now()
    found = selectors.find_open_invitation(token, now=now)
    if found is None:
        return render(request, "projects/invitation_gone.html", status=404)
    form = JoinForm(request.POST or None)
    if request.method == "POST":
        try:
            joined = _join(request, form, token)
        except Invalid as error:
            show_error(form, error)
        except services.InvitationInvalid:
            return render(request, "projects/invitation_gone.html", status=404)
        else:
            if joined is not None:
                return joined
    # Single sign-on makes an account only for whoever opened an invitation in this session.
    request.session[INVITATION] = bytes(found.token_hash).hex()
    return render(request, "projects/invitation.html", _offer(request, found, form), status=422 if form.errors else 200)


def _offer(request: HttpRequest, found: Invitation, form: JoinForm) -> dict[str, object]:
    return {
        "invitation": found,
        "form": form,
        "has_account": people.find_user(found.email) is not None,
        "is_other_person": isinstance(request.user, User) and request.user.email != found.email,
    }


def _join(request: HttpRequest, form: JoinForm, token: str) -> HttpResponse | None:
    """Join and go to the project; None when the form needs a change."""
    now = clock.now()
    if isinstance(request.user, User):
        membership = services.accept_invitation(token=token, user=request.user, now=now)
    elif form.is_valid():
        membership = services.join_with_new_account(token=token, now=now, **form.cleaned_data)
        sign_in(request, membership.user)
    else:
        return None
    request.session.pop(INVITATION, None)
    messages.success(request, _("You are in %(project)s.") % {"project": membership.project.name})
    return redirect("overview", project=membership.project.slug)


@person_page
def project_new(request: PersonRequest) -> HttpResponse:
    """A further project, with a key for its first call."""
    form = ProjectForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        now = clock.now()
        made = services.start_project(creator=request.user, actor=actor_of(request.user), now=now, **form.cleaned_data)
        shown_once.keep_first_key(request.session, project=made.project, raw=made.raw_key, now=now)
        return redirect("overview", project=made.project.slug)
    return render(request, "projects/project_new.html", {"form": form}, status=422 if form.errors else 200)
