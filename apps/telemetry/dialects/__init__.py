"""What telemetry clients call things, and what we call them: one module for each dialect, read in a fixed order. Pure."""
