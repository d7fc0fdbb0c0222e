"""Shapes of notices, channels and deliveries in the API."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.alerts.selectors.notices import LEVELS


class NoticesQuery(serializers.Serializer[Any]):
    """Which notices."""

    level = serializers.ChoiceField(choices=list(LEVELS), required=False, default="", allow_blank=True)
    unread = serializers.BooleanField(required=False, default=False, help_text="only what the caller has not read")
    limit = serializers.IntegerField(required=False, default=50, min_value=1, max_value=200)


class NoticeOutput(serializers.Serializer[Any]):
    """One notice. `mail` is empty where mail is not set up, else mailed, waiting or failed."""

    id = serializers.UUIDField(source="uuid")
    kind = serializers.CharField()
    level = serializers.ChoiceField(choices=list(LEVELS))
    title = serializers.CharField()
    text = serializers.CharField()
    path = serializers.CharField()
    at = serializers.DateTimeField()
    is_unread = serializers.BooleanField()
    mail = serializers.CharField()
    mailed_at = serializers.DateTimeField(allow_null=True)
    mail_problem = serializers.CharField()


class NoticesOutput(serializers.Serializer[Any]):
    """Notices: unread first, newest first."""

    items = NoticeOutput(many=True)
