"""Routes of people. Of django-allauth, only the pages that this product offers: its others do not exist here."""

from collections.abc import Callable
from typing import Any

from allauth.account import views as sign_in
from allauth.mfa.base import views as second_factor
from allauth.mfa.recovery_codes import views as recovery_codes
from allauth.mfa.totp import views as totp
from allauth.socialaccount import views as sign_on
from allauth.socialaccount.providers.openid_connect import views as openid
from django.urls import path, re_path

from apps.accounts import views
from apps.core.permissions import open_page, person_page, token_page

View = Callable[..., Any]

OPEN: dict[str, tuple[str, View]] = {
    "account_login": ("login/", sign_in.login),
    "account_logout": ("logout/", sign_in.logout),  # also leaves a sign-in that waits for its second factor
    "account_signup": ("signup/", sign_in.signup),
    "account_inactive": ("inactive/", sign_in.account_inactive),
    "account_reset_password": ("password/reset/", sign_in.password_reset),
    "account_reset_password_done": ("password/reset/done/", sign_in.password_reset_done),
    "account_reset_password_from_key_done": ("password/reset/key/done/", sign_in.password_reset_from_key_done),
    "mfa_authenticate": ("2fa/authenticate/", second_factor.authenticate),
    "socialaccount_login_cancelled": ("3rdparty/login/cancelled/", sign_on.login_cancelled),
    "socialaccount_login_error": ("3rdparty/login/error/", sign_on.login_error),
    "socialaccount_signup": ("3rdparty/signup/", sign_on.signup),
    "openid_connect_login": ("oidc/<str:provider_id>/login/", openid.login),
    "openid_connect_callback": ("oidc/<str:provider_id>/login/callback/", openid.callback),
}
PERSON: dict[str, tuple[str, View]] = {
    "account_reauthenticate": ("reauthenticate/", sign_in.reauthenticate),
    "account_change_password": ("password/change/", sign_in.password_change),
    "account_set_password": ("password/set/", sign_in.password_set),
    "mfa_index": ("2fa/", second_factor.index),
    "mfa_reauthenticate": ("2fa/reauthenticate/", second_factor.reauthenticate),
    "mfa_activate_totp": ("2fa/totp/activate/", totp.activate_totp),
    "mfa_deactivate_totp": ("2fa/totp/deactivate/", totp.deactivate_totp),
    "mfa_view_recovery_codes": ("2fa/recovery-codes/", recovery_codes.view_recovery_codes),
    "mfa_generate_recovery_codes": ("2fa/recovery-codes/generate/", recovery_codes.generate_recovery_codes),
    "mfa_download_recovery_codes": ("2fa/recovery-codes/download/", recovery_codes.download_recovery_codes),
    "socialaccount_connections": ("3rdparty/", sign_on.connections),
}

urlpatterns = [
    path("account/", views.account, name="account"),
    path("account/sessions/end", views.end_other_sessions, name="end_other_sessions"),
    *(path(f"accounts/{route}", open_page(view), name=name) for name, (route, view) in OPEN.items()),
    *(path(f"accounts/{route}", person_page(view), name=name) for name, (route, view) in PERSON.items()),
    re_path(
        r"^accounts/password/reset/key/(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)/$",
        token_page(sign_in.password_reset_from_key),
        name="account_reset_password_from_key",
    ),
]
