"""Routes of evals: sets and examples, scorers, runs and results, comparisons, gates, online evals."""

from django.urls import URLPattern, URLResolver, path

from apps.evals.views import runs

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Sets and examples
    # --- Imports, exports, health
    # --- Scorers and calibration
    # --- Runs and results
    path("p/<slug:project>/eval-runs", runs.runs_page, name="eval_runs"),
    path("p/<slug:project>/eval-runs/<int:number>", runs.run_page, name="eval_run"),
    # --- Comparisons and model upgrades
    # --- Gates
    # --- Online evals
]
