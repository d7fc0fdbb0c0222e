"""The playground: a draft, a version or a recorded call, run against up to four models side by side.

It stands above prompts, telemetry and providers because it uses all three: what is run comes from a prompt or a trace,
goes through `providers.client`, and is stored as telemetry of source `playground`.
"""
