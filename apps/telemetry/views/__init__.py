"""Pages of telemetry, one module for each subject."""
