"""Every address, app by app."""

from django.urls import include, path

from llmops_site import views

urlpatterns = [
    path("api/schema/", views.api_schema, name="api_schema"),
    path("api/docs/", views.api_docs, name="api_docs"),
    path("", include("apps.core.urls")),
    path("", include("apps.accounts.urls")),
    path("", include("apps.projects.urls")),
    path("", include("apps.alerts.urls")),
    path("", include("apps.providers.urls")),
    path("", include("apps.telemetry.urls")),
    # A prompt's name may hold slashes, so what upper apps put behind one comes before what is only a name.
    path("", include("apps.dashboards.urls")),
    path("", include("apps.promotions.urls")),
    path("", include("apps.budgets.urls")),
    path("", include("apps.evals.urls")),
    path("", include("apps.playground.urls")),
    path("", include("apps.prompts.urls")),
]

handler403 = "apps.core.pages.forbidden"
handler404 = "apps.core.pages.not_found"
handler500 = "apps.core.pages.failed"
