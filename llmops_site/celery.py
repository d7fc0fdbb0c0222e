"""The Celery application. Its settings are the `CELERY_` names in `settings.py`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")

app = Celery("prodworthy")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
