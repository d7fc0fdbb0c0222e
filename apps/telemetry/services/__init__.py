"""Every write of telemetry."""

from apps.telemetry.services.partitions import ensure_partitions, keep_ahead
from apps.telemetry.services.storing import store

__all__ = ["ensure_partitions", "keep_ahead", "store"]
