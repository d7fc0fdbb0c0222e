"""Routes of the pages that look across everything."""

from django.urls import path

from apps.dashboards import views

urlpatterns = [
    path("p/<slug:project>/", views.overview_page, name="overview"),
    path("p/<slug:project>/first-call", views.first_call, name="first_call"),
]
