"""Sensitive actions ask for the password or a code again, unless the person signed in or did so in the last
15 minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar
from urllib.parse import urlencode

from allauth.account.internal.flows.login import get_authentication_records
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ReauthenticationRequired
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.core.permissions import SAFE_METHODS

P = ParamSpec("P")
R = TypeVar("R")
RequestT = TypeVar("RequestT", bound=HttpRequest)


def is_fresh(request: HttpRequest) -> bool:
    """True when the person proved who they are lately, or has nothing but single sign-on to prove it with."""
    if not request.user.is_authenticated:
        return False
    if not get_reauthentication_flows(request.user):
        return True
    records = get_authentication_records(request, request.user)
    latest = max((record["at"] for record in records), default=0)
    return time.time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT


def fresh_sign_in_required(
    view: Callable[Concatenate[RequestT, P], R],
) -> Callable[Concatenate[RequestT, P], R]:
    """For a change: send the person to prove who they are first. What they typed is carried out afterwards."""

    @wraps(view)
    def proved(request: RequestT, /, *args: P.args, **kwargs: P.kwargs) -> R:
        if request.method not in SAFE_METHODS and not is_fresh(request):
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return proved


def fresh_before_typing(
    view: Callable[Concatenate[RequestT, P], HttpResponse],
) -> Callable[Concatenate[RequestT, P], HttpResponse]:
    """For a form that takes a secret: ask people to prove who they are before it is shown. What was typed is not
    carried out afterwards, as it is elsewhere: that would put the secret into the session.
    """

    @wraps(view)
    def proved(request: RequestT, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if is_fresh(request):
            return view(request, *args, **kwargs)
        if request.method in SAFE_METHODS:
            raise ReauthenticationRequired
        messages.error(request, _("Confirm that it is you, then type it in again. Nothing was changed."))
        return redirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': request.get_full_path()})}")

    return proved
