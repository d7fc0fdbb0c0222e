"""Addresses and texts of prompts as their pages show them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from django import template
from django.conf import settings
from django.urls import NoReverseMatch, get_urlconf, reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.prompts import highlighting
from apps.prompts.types import Syntax

register = template.Library()

LOOKS = {
    "variable": "var",
    "unknown": "var var--unknown",
    "section": "var var--part",
    "include": "var var--include",
    "comment": "var var--comment",
    "error": "var var--error",
}


@lru_cache(maxsize=256)
def _exists(url_name: str, urlconf: str) -> bool:
    """True when the product has such a page; asked once, since Django takes long to find out that it has not."""
    for kwargs in ({"project": "p", "prompt": "x"}, {"project": "p"}, {"project": "p", "prompt": "x", "version": "1"}):
        try:
            reverse(url_name, urlconf=urlconf, kwargs=kwargs)
        except NoReverseMatch:
            continue
        return True
    return False


@register.simple_tag(takes_context=True)
def prompt_url(context: template.Context, url_name: str, prompt: Any = None, version: Any = None) -> str:
    """The address of a page of the prompt, or of one about all of them; empty while there is no such page."""
    if not _exists(url_name, get_urlconf() or settings.ROOT_URLCONF):
        return ""
    kwargs = {"project": context["project"].slug}
    if prompt is not None:
        kwargs["prompt"] = str(prompt)
    if version is not None:
        kwargs["version"] = str(version)
    return reverse(url_name, kwargs=kwargs)


@register.simple_tag
def highlighted(source: str, syntax: Any) -> SafeString:
    """Template text with its variables, sections and snippets marked; everything escaped."""
    return format_html_join("", "{}", ((_marked(piece),) for piece in highlighting.pieces(source, Syntax(syntax))))


def _marked(piece: highlighting.Piece) -> SafeString:
    if piece.kind not in LOOKS:
        return format_html("{}", piece.text)
    if piece.message:
        return format_html('<span class="{}" title="{}">{}</span>', LOOKS[piece.kind], piece.message, piece.text)
    return format_html('<span class="{}">{}</span>', LOOKS[piece.kind], piece.text)


@register.filter
def folder_of(name: str) -> str:
    """The folders of a name with their slash: `support/` of `support/answer`."""
    folder = name.rpartition("/")[0]
    return f"{folder}/" if folder else ""


@register.filter
def last_part(name: str) -> str:
    """The name without its folders."""
    return name.rpartition("/")[2]
