"""What can be done with budgets, alert rules, latency targets and projections: one module for each group of verbs."""
