"""Which client sent something, from its User-Agent: its family without versions, so that few names remain. Pure."""

from __future__ import annotations

import re

NOT_SAID = ""

_PRODUCT = re.compile(r"\s*([^\s/();,]+)")


def family(user_agent: str) -> str:
    """The first product that a User-Agent names, without its version: `OTel-OTLP-Exporter-Python/1.38.0` is
    `OTel-OTLP-Exporter-Python`. Empty when none was sent."""
    found = _PRODUCT.match(user_agent)
    return found[1][:80] if found else NOT_SAID


def version(user_agent: str) -> str:
    """The version of that product; empty when it does not say one."""
    found = re.match(r"\s*[^\s/();,]+/([^\s();,]+)", user_agent)
    return found[1][:40] if found else ""
