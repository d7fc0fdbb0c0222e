"""The hot doors of telemetry: one module for each way to send, and what they share (`shared`)."""

from apps.telemetry.doors.native import telemetry
from apps.telemetry.doors.otlp import answer_refusal, logs, metrics, traces
from apps.telemetry.doors.readings import agents, litellm, opik
from apps.telemetry.doors.shared import stop

__all__ = ["agents", "answer_refusal", "litellm", "logs", "metrics", "opik", "stop", "telemetry", "traces"]
