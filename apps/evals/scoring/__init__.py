"""Scorers as functions from a case to a score, one module for each family; no framework, no network of their own.

`kinds` says what a kind of scorer is, `registry` has them all by name; those of other packages come in by entry point.
"""
