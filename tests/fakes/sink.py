"""A server of the inner network that nobody may reach: it counts who tries."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Sink:
    """Listens on a free port of every loopback address and accepts; `connections` is how many came."""

    def __init__(self) -> None:
        self.connections = 0
        self.port = 0

    @contextmanager
    def running(self) -> Iterator[Sink]:
        """Listening, in a thread."""
        with socket.create_server(("0.0.0.0", 0)) as listener:
            listener.settimeout(0.1)
            self.port = listener.getsockname()[1]
            is_over = threading.Event()
            thread = threading.Thread(target=self._accept, args=(listener, is_over))
            thread.start()
            try:
                yield self
            finally:
                is_over.set()
                thread.join()

    def proves_it_listens(self) -> None:
        """One connection of the test's own, which counts: what would not notice it proves nothing."""
        before = self.connections
        with socket.create_connection(("127.0.0.1", self.port)):
            while self.connections == before:
                threading.Event().wait(0.01)

    def _accept(self, listener: socket.socket, is_over: threading.Event) -> None:
        while not is_over.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            self.connections += 1
            connection.close()
