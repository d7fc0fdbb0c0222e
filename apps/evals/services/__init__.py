"""Every write of evals."""
