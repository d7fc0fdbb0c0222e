"""Pages of evals, one module for each subject."""
