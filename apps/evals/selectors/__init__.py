"""Every read of evals that is more than a field."""
