"""JSON endpoints of budgets."""
