"""The tables of alerts."""

from apps.alerts.models.notices import Notice, NoticeRead

__all__ = ["Notice", "NoticeRead"]
