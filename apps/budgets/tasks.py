"""Jobs of budgets. Each only says when; what is to be done stands in the database."""

from __future__ import annotations

# Each part of the app adds its own below its heading.

# --- Spend budgets

# --- Alert rules

# --- Latency targets

# --- Projections
