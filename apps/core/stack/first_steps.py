"""Whether somebody can sign in yet, and the link for the first who will."""

from __future__ import annotations

import re
from io import StringIO
from urllib.parse import urlsplit

from django.contrib.auth import get_user_model
from django.core.management import call_command


def nobody_has_an_account() -> bool:
    """True on a first start: no person is in the database."""
    return not get_user_model()._default_manager.exists()


def setup_link(public_url: str) -> str:
    """The address under `public_url` at which the first account can be made, once, within the hour.

    Earlier ones stop working. The link is asked of the command and not of the app that owns it, since this is the
    lowest app and may not know it.
    """
    answer = StringIO()
    call_command("setup_link", stdout=answer)
    found = re.search(r"https?://\S+", answer.getvalue())
    if found is None:
        raise RuntimeError(f"manage.py setup_link printed no address: {answer.getvalue().strip()}")
    return public_url + urlsplit(found.group()).path
