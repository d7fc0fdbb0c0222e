"""Is the port free, and if not, who has it and which one is."""

from __future__ import annotations

import socket

import psutil

TRIES = 50


class PortTaken(RuntimeError):
    """Another program listens where we are to listen; the message says which and how to choose another port."""


def check_free(host: str, port: int) -> None:
    """Raise PortTaken unless we could listen there now."""
    if not _is_free(host, port):
        free = next((other for other in range(port + 1, min(port + TRIES, 65536)) if _is_free(host, other)), None)
        hint = f"Stop it, or choose another port: PRODWORTHY_PORT={free or '<port>'} make run"
        raise PortTaken(f"Port {port} on {host} is taken{_by_whom(port)}.\n{hint}")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        # As the web server does: a port whose last connections are still closing counts as free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1)
        except OSError:
            return False
    return True


def _by_whom(port: int) -> str:
    """The holder in words, as far as the system lets us see it."""
    try:
        listeners = [found for found in psutil.net_connections("tcp") if found.status == psutil.CONN_LISTEN]
        pid = next((found.pid for found in listeners if found.laddr and found.laddr.port == port), None)
        return f" by {psutil.Process(pid).name()} (process {pid})" if pid else " by another program"
    except psutil.Error:
        return " by another program"
