"""Routes of budgets: spend budgets, alert rules, latency targets and projections."""

from django.urls import URLPattern, URLResolver, path

from apps.budgets.api import budgets as budgets_api
from apps.budgets.api import latency as latency_api
from apps.budgets.api import projections as projection_api
from apps.budgets.views import budgets as budget_pages
from apps.budgets.views import latency as latency_pages
from apps.budgets.views import projections as projection_pages

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Spend budgets
    path("p/<slug:project>/budgets", budget_pages.budgets_page, name="budgets"),
    path("p/<slug:project>/budgets/new", budget_pages.budget_new, name="budget_new"),
    path("p/<slug:project>/budgets/preview", budget_pages.budget_preview, name="budget_preview"),
    path("p/<slug:project>/budgets/<uuid:uuid>", budget_pages.budget_page, name="budget"),
    path("p/<slug:project>/budgets/<uuid:uuid>/edit", budget_pages.budget_edit, name="budget_edit"),
    path("p/<slug:project>/budgets/<uuid:uuid>/archive", budget_pages.budget_archive, name="budget_archive"),
    path("api/v1/budgets", budgets_api.BudgetsApi.as_view(), name="api_budgets"),
    path("api/v1/budgets/preview", budgets_api.BudgetPreviewApi.as_view(), name="api_budget_preview"),
    path("api/v1/budgets/<uuid:uuid>", budgets_api.BudgetApi.as_view(), name="api_budget"),
    # --- Alert rules
    # --- Latency targets
    path("p/<slug:project>/latency/targets", latency_pages.latency_targets_page, name="latency_targets"),
    path("p/<slug:project>/latency/targets/new", latency_pages.latency_target_new, name="latency_target_new"),
    path("p/<slug:project>/latency/targets/<uuid:uuid>", latency_pages.latency_target, name="latency_target"),
    path(
        "p/<slug:project>/latency/targets/<uuid:uuid>/edit",
        latency_pages.latency_target_edit,
        name="latency_target_edit",
    ),
    path("p/<slug:project>/latency/targets/<uuid:uuid>/measure", latency_pages.latency_measure, name="latency_measure"),
    path(
        "p/<slug:project>/latency/targets/<uuid:uuid>/remove",
        latency_pages.latency_target_remove,
        name="latency_target_remove",
    ),
    path("api/v1/latency-targets", latency_api.LatencyTargetsApi.as_view(), name="api_latency_targets"),
    path("api/v1/latency-targets/<uuid:uuid>", latency_api.LatencyTargetApi.as_view(), name="api_latency_target"),
    path("api/v1/latency-evidence", latency_api.LatencyEvidencesApi.as_view(), name="api_latency_evidence"),
    # --- Projections
    path("p/<slug:project>/costs/projections", projection_pages.projections_page, name="projections"),
    path("p/<slug:project>/costs/projections/new", projection_pages.projection_new, name="projection_new"),
    path("p/<slug:project>/costs/projections/result", projection_pages.projection_result, name="projection_result"),
    path("p/<slug:project>/costs/projections/<uuid:uuid>", projection_pages.projection_page, name="projection"),
    path(
        "p/<slug:project>/costs/projections/<uuid:uuid>/decide",
        projection_pages.projection_decide,
        name="projection_decide",
    ),
    path(
        "p/<slug:project>/costs/projections/<uuid:uuid>/what-if",
        projection_pages.projection_what_if,
        name="projection_what_if",
    ),
    path("api/v1/projections", projection_api.ProjectionsApi.as_view(), name="api_projections"),
    path("api/v1/projections/<uuid:uuid>", projection_api.ProjectionApi.as_view(), name="api_projection"),
    path("api/v1/projections/<uuid:uuid>/ask", projection_api.ProjectionAskApi.as_view(), name="api_projection_ask"),
    path(
        "api/v1/projections/<uuid:uuid>/approve",
        projection_api.ProjectionApproveApi.as_view(),
        name="api_projection_approve",
    ),
    path(
        "api/v1/projections/<uuid:uuid>/reject",
        projection_api.ProjectionRejectApi.as_view(),
        name="api_projection_reject",
    ),
    path(
        "api/v1/projections/<uuid:uuid>/what-if",
        projection_api.ProjectionWhatIfApi.as_view(),
        name="api_projection_what_if",
    ),
]
