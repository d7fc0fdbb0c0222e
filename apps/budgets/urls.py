"""Routes of budgets: spend budgets, alert rules, latency targets and projections."""

from django.urls import URLPattern, URLResolver

# Each part of the app adds its own below its heading.
urlpatterns: list[URLPattern | URLResolver] = [
    # --- Spend budgets
    # --- Alert rules
    # --- Latency targets
    # --- Projections
]
