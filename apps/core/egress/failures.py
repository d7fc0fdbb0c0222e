"""Why an exchange that the rules allow did not work out. No sentence names an address that a name was resolved to."""

from __future__ import annotations

from enum import StrEnum

from apps.core.errors import DomainError


class Stage(StrEnum):
    """What a call was waiting for when its time was over."""

    CONNECT = "connect"
    FIRST_BYTE = "first_byte"
    IDLE = "idle"
    TOTAL = "total"


class EgressFailed(DomainError):
    """The exchange did not work out."""

    code, http_status = "egress_failed", 502
    message = "The other server could not be reached."


class Unreachable(EgressFailed):
    """No connection, or it was closed before a byte of an answer. `was_sent` is whether the request may have arrived;
    `is_lasting` whether trying again is pointless."""

    code = "egress_unreachable"
    message = "The other server could not be reached: {reason}."

    def __init__(self, reason: str, *, was_sent: bool = False, is_lasting: bool = False) -> None:
        super().__init__(reason=reason)
        self.reason = reason
        self.was_sent = was_sent
        self.is_lasting = is_lasting


class TimedOut(EgressFailed):
    """The other server let more time pass than it is given at this stage."""

    code, http_status = "egress_timeout", 504
    message = "The other server took longer than {seconds:g} s (stage: {stage})."

    def __init__(self, stage: Stage, seconds: float) -> None:
        super().__init__(stage=stage, seconds=seconds)
        self.stage = stage
        self.seconds = seconds


class Redirected(EgressFailed):
    """The other server answered with a redirect, which is never followed."""

    code = "egress_redirected"
    message = "The other server answered {status}, a redirect, and those are not followed. Use the final address."

    def __init__(self, status: int) -> None:
        super().__init__(status=status)
        self.status = status


class NotHttp(EgressFailed):
    """The bytes that came back are not HTTP."""

    code = "egress_not_http"
    message = "The other server does not answer in HTTP."


class Cut(EgressFailed):
    """The connection ended before the answer did."""

    code = "egress_cut"
    message = "The other server broke its answer off."


class TooLarge(EgressFailed):
    """The answer is larger than it may be; the rest was not read."""

    code = "egress_too_large"
    message = "The other server's answer exceeds {limit} bytes."

    def __init__(self, limit: int) -> None:
        super().__init__(limit=limit)
        self.limit = limit
