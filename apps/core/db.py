"""Questions about the current database connection that do not belong to any app."""

from __future__ import annotations

from django.db import connection


class NetworkInsideTransaction(RuntimeError):
    """A call to another server was about to be made while a transaction is open."""


def assert_no_transaction() -> None:
    """Raise NetworkInsideTransaction inside an open transaction, so that nobody waits on a network holding locks.

    The transaction a test wraps around itself does not count: Django marks its outermost block.
    """
    blocks = connection.atomic_blocks
    of_a_test = len(blocks) == 1 and getattr(blocks[0], "_from_testcase", False)
    if connection.in_atomic_block and not of_a_test:
        raise NetworkInsideTransaction("Commit first, then call: a transaction is open on this connection.")
