"""The site: settings, URLs, Celery and the ASGI and WSGI entry points. It imports apps; no app imports it."""

from llmops_site.celery import app as celery_app

__all__ = ["celery_app"]
