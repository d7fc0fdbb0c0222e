"""Every read of telemetry. Callers import the module that reads what they ask for."""
