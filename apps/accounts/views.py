"""A person's own page."""

from __future__ import annotations

from allauth.mfa.utils import is_mfa_enabled
from allauth.socialaccount.adapter import get_adapter as get_social_adapter
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST

from apps.accounts import services
from apps.accounts.forms import ProfileForm
from apps.accounts.models import User
from apps.core.permissions import person_page


class PersonRequest(HttpRequest):
    """A request of somebody who is signed in."""

    user: User


@person_page
def account(request: PersonRequest) -> HttpResponse:
    """Name, theme, password, second factor, single sign-on and sessions."""
    user = request.user
    form = ProfileForm(request.POST or None, initial={"name": user.name, "theme": user.theme})
    if request.method == "POST" and form.is_valid():
        services.change_profile(user=user, **form.cleaned_data)
        messages.success(request, _("Saved."))
        return redirect("account")
    context = {
        "form": form,
        "person": user,
        "has_password": user.has_usable_password(),
        "has_second_factor": is_mfa_enabled(user),
        "has_sign_on": bool(get_social_adapter(request).list_providers(request)),
    }
    return render(request, "account/account.html", context, status=422 if form.errors else 200)


@person_page
@require_POST
def end_other_sessions(request: PersonRequest) -> HttpResponse:
    """Sign the person out everywhere but here."""
    ended = services.end_sessions(user=request.user, keep=request.session.session_key)
    messages.success(request, _("Signed out of %(count)d other sessions.") % {"count": ended})
    return redirect("account")
