"""Reads of alerts: one module for each kind of thing. The project comes first."""
