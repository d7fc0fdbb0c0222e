"""Routes of evals: sets and examples, scorers, runs and results, comparisons, gates, online evals."""

from django.urls import URLPattern, URLResolver

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Sets and examples
    # --- Imports, exports, health
    # --- Scorers and calibration
    # --- Runs and results
    # --- Comparisons and model upgrades
    # --- Gates
    # --- Online evals
]
