"""Logs are one JSON object a line, in UTC, with the request's id and without secrets."""

from __future__ import annotations

import json
import logging
import re
from contextvars import ContextVar
from datetime import UTC, datetime

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""The id of the request being answered, also sent back as X-Request-Id and shown on error pages."""

SECRET_SHAPES = re.compile(
    r"pw_[a-z]+_[a-z]+_[0-9A-Za-z]{8,}"  # our own keys
    r"|(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}"  # providers' keys
    r"|(?i:bearer|basic)\s+[A-Za-z0-9+/=._~-]{12,}"
    r"|(?i:password|passwd|secret|token|api[_-]?key)[\"']?\s*[=:]\s*[\"']?[^\s\"',;&}]{6,}"
    r"|://[^/\s:@]+:[^/\s@]+@"
)


class RequestIdFilter(logging.Filter):
    """Puts the request's id on every record."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the id; never drops a record."""
        record.request_id = request_id.get()
        return True


class SecretsFilter(logging.Filter):
    """Blots out whatever has the shape of a key, a password or credentials in an address."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Replace secrets in the finished message; never drops a record."""
        text = record.getMessage()
        clean = SECRET_SHAPES.sub("[secret]", text)
        if clean != text:
            record.msg, record.args = clean, ()
        return True


class JsonFormatter(logging.Formatter):
    """One line of JSON a record; control characters are escaped by the encoding itself."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one JSON object."""
        entry = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request := getattr(record, "request_id", ""):
            entry["request_id"] = request
        if record.exc_info:
            entry["traceback"] = SECRET_SHAPES.sub("[secret]", self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)
