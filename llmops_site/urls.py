"""Every address, app by app."""

from django.urls import include, path

urlpatterns = [
    path("", include("apps.core.urls")),
    path("", include("apps.accounts.urls")),
    path("accounts/", include("allauth.urls")),
    path("", include("apps.projects.urls")),
    path("", include("apps.providers.urls")),
    path("", include("apps.telemetry.urls")),
    path("", include("apps.dashboards.urls")),
]

handler403 = "apps.core.views.forbidden"
handler404 = "apps.core.views.not_found"
handler500 = "apps.core.views.failed"
