"""Icons, numbers and times as every page shows them."""

from __future__ import annotations

from django import template

register = template.Library()
