"""What happens when an ASGI server starts and stops the application."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any


class Lifespan:
    """Passes requests on, and calls `on_stop` in a thread when the server shuts down, so that nothing is cut off."""

    def __init__(self, application: Any, *, on_stop: Sequence[Callable[[], None]]) -> None:
        self.application = application
        self.on_stop = on_stop

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer lifespan messages; everything else goes to the application."""
        if scope["type"] != "lifespan":
            await self.application(scope, receive, send)
            return
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            elif message["type"] == "lifespan.shutdown":
                for stop in self.on_stop:
                    await asyncio.to_thread(stop)
                await send({"type": "lifespan.shutdown.complete"})
                return
