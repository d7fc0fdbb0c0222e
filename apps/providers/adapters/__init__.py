"""One module for each protocol of `apps.providers.calls.Protocol`: it translates, and makes one upstream attempt.

Callers use `apps.providers.client`, which chooses the adapter, tries again, and ends what takes too long in total.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from apps.providers.calls import Delta, EmbedReply, ModelReply, ModelRequest, Target


class Adapter(Protocol):
    """What each adapter module offers, as functions of these names at its top level.

    Each makes exactly one upstream attempt and leaves `attempts` in its reply at 1. A failure is a `ProviderError` of
    `apps.providers.call_errors` without a key in it (`refusal` and `redacted` see to that), or `EgressRefused`. The
    limits of the target hold for connecting, the first byte, idleness and size; the total time is the client's.
    """

    async def complete(self, target: Target, request: ModelRequest) -> ModelReply:
        """The whole answer at once."""
        ...

    def stream(self, target: Target, request: ModelRequest) -> AsyncGenerator[Delta | ModelReply, None]:
        """The answer bit by bit, and at the end the ModelReply: the last item of every stream that does not raise.

        A stream that ends without its end mark ends with a reply that is not complete and has no finish reason.
        Closing the generator closes the upstream connection at once. Errors raised after the first byte of an answer
        are not transient and carry `so_far`.
        """
        ...

    async def embed(self, target: Target, texts: Sequence[str]) -> EmbedReply:
        """One vector for each text, or ProviderCannot."""
        ...
