"""JSON endpoints of telemetry, one module for each subject."""
