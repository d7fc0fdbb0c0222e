"""JSON endpoints of alerts."""
