"""Routes of prompts; their hot door is not among them (see `doors`)."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
