"""JSON endpoints of evals, one module for each subject."""
