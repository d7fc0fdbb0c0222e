"""Every address, app by app."""

from django.urls import include, path

urlpatterns = [
    path("", include("apps.core.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.projects.urls")),
    path("", include("apps.providers.urls")),
    path("", include("apps.telemetry.urls")),
    path("", include("apps.dashboards.urls")),
]

handler403 = "apps.core.pages.forbidden"
handler404 = "apps.core.pages.not_found"
handler500 = "apps.core.pages.failed"
