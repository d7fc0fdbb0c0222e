"""Command lines of promotions, each one file over HTTP."""
