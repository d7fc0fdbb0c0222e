"""Routes of evals: sets and examples, scorers, runs and results, comparisons, gates, online evals."""

from django.urls import URLPattern, URLResolver, path

from apps.evals.api import set_imports as set_imports_api
from apps.evals.views import runs

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Sets and examples
    # --- Imports, exports, health
    path("api/v1/eval-sets/<slug:slug>/import", set_imports_api.SetImportApi.as_view(), name="api_eval_set_import"),
    path("api/v1/eval-sets/<slug:slug>/export", set_imports_api.SetExportApi.as_view(), name="api_eval_set_export"),
    # --- Scorers and calibration
    # --- Runs and results
    path("p/<slug:project>/eval-runs", runs.runs_page, name="eval_runs"),
    path("p/<slug:project>/eval-runs/<int:number>", runs.run_page, name="eval_run"),
    # --- Comparisons and model upgrades
    # --- Gates
    # --- Online evals
]
