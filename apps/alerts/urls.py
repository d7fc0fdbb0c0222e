"""Routes of alerts: notices, the channels they go to, and what became of each delivery."""

from django.urls import URLPattern, URLResolver, path

from apps.alerts.api import notices as notices_api
from apps.alerts.views import notices as notice_pages

urlpatterns: list[URLPattern | URLResolver] = [
    path("p/<slug:project>/alerts", notice_pages.notices_page, name="notices"),
    path("p/<slug:project>/alerts/read", notice_pages.notices_read, name="notices_read"),
    path("p/<slug:project>/alerts/<uuid:uuid>/read", notice_pages.notice_read, name="notice_read"),
    path("api/v1/notices", notices_api.NoticesApi.as_view(), name="api_notices"),
    path("api/v1/notices/<uuid:uuid>/read", notices_api.NoticeReadApi.as_view(), name="api_notice_read"),
]
