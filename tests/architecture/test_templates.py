"""Templates parse, find what they name, need no exception from the content policy, and work without script."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.template import engines
from django.template.loader import get_template
from django.urls import get_resolver

from tests.architecture.sources import ROOT

FOLDER = ROOT / "templates"
PAGES = sorted(FOLDER.rglob("*.html"))
ALL = sorted(path for path in FOLDER.rglob("*") if path.is_file())
LONGEST = 200
SAFE_ON_PURPOSE: set[str] = set()
"""Templates that may switch escaping off; none needs to."""

WITHOUT_TOKEN = {
    # Read without any cookie: the secret in its address is all that counts.
    "telemetry/feedback.html",
}

REFERENCE = re.compile(r"""{%\s*(?:include|extends)\s+["']([^"']+)["']""")
ADDRESS = re.compile(r"""{%\s*url\s+["']([^"']+)["']""")
STATIC = re.compile(r"""{%\s*static\s+["']([^"']+)["']""")
TAGS = re.compile(r"{%.*?%}|{{.*?}}|{#.*?#}", re.DOTALL)


def _name(path: Path) -> str:
    return str(path.relative_to(FOLDER))


class Elements(HTMLParser):
    """The opening tags of a template, with Django's tags taken out, and the text of its scripts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.inline = ""
        self._inside = ""
        self.feed(TAGS.sub("", text))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attrs}))
        self._inside = tag if tag in {"script", "style"} else self._inside

    def handle_endtag(self, tag: str) -> None:
        self._inside = "" if tag == self._inside else self._inside

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.inline += data.strip()


def _refusals(text: str) -> Iterator[str]:
    """What the content policy would refuse in this template, or what reaches another server."""
    elements = Elements(text)
    if elements.inline:
        yield f"inline script or style: {elements.inline[:60]}"
    for tag, attributes in elements.found:
        if tag == "style":
            yield "<style>"
        for name, value in attributes.items():
            if name == "style" or name.startswith(("on", "hx-on")):
                yield f"{name}= on <{tag}>"
            if value.strip().lower().startswith(("javascript:", "js:")):
                yield f"script in {name}= on <{tag}>"
            loads = name == "src" or (name == "href" and tag == "link")
            if loads and re.match(r"(https?:)?//", value):
                yield f"<{tag}> loads from elsewhere: {value}"


@pytest.mark.parametrize("path", ALL, ids=_name)
def test_parses(path: Path) -> None:
    get_template(_name(path))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_needs_no_exception_from_the_content_policy(path: Path) -> None:
    assert not list(_refusals(path.read_text()))


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_never_switches_escaping_off(path: Path) -> None:
    found = re.findall(r"\|\s*safe\b|autoescape\s+off|\|\s*safeseq\b", path.read_text())
    assert not found or _name(path) in SAFE_ON_PURPOSE


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_finds_what_it_names(path: Path) -> None:
    text = path.read_text()
    known = {name for name in get_resolver().reverse_dict if isinstance(name, str)}
    assert not [name for name in REFERENCE.findall(text) if not (FOLDER / name).exists() and not _is_elsewhere(name)]
    assert not [name for name in ADDRESS.findall(text) if name not in known]
    assert not [name for name in STATIC.findall(text) if not _is_static(name)]


def _is_elsewhere(name: str) -> bool:
    return bool(get_template(name))


def _is_static(name: str) -> bool:
    from django.contrib.staticfiles import finders

    return finders.find(name) is not None


LINES_OF_A_LIST = {"dashboards/_palette.html"}
"""Fragments that are put into an element of the page instead of replacing one."""

FRAGMENTS = [
    path
    for path in PAGES
    if path.name.startswith("_") and path.parent.name != "components" and _name(path) not in LINES_OF_A_LIST
]


@pytest.mark.parametrize("path", [*FRAGMENTS, None], ids=lambda path: _name(path) if path else "none")
def test_names_a_fragment_like_its_root_element(path: Path | None) -> None:
    """htmx replaces the element, the page includes the file, the test asks for both: one name for all."""
    if path is None:
        return
    first = next(iter(Elements(path.read_text()).found), ("", {}))
    name = path.stem.removeprefix("_")
    assert first[1].get("id") in {name, name.replace("_", "-")}


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_works_without_script(path: Path) -> None:
    """Whoever has no script follows `href` and submits to `action`."""
    lame = []
    for tag, attributes in Elements(path.read_text()).found:
        if tag == "a" and {"hx-get", "hx-post"} & set(attributes) and "href" not in attributes:
            lame.append(f"<a> with htmx but without href: {attributes}")
        if tag == "form" and {"hx-get", "hx-post"} & set(attributes) and "action" not in attributes:
            lame.append(f"<form> with htmx but without action: {attributes}")
        if tag == "button" and {"hx-get", "hx-post"} & set(attributes) and attributes.get("type") != "submit":
            lame.append(f"<button> that only htmx understands: {attributes}")
    assert not lame


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_stays_short(path: Path) -> None:
    assert path.read_text().count("\n") <= LONGEST


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_carries_a_token_in_every_form_that_posts(path: Path) -> None:
    text = path.read_text()
    forms = re.findall(r"<form\b[^>]*method=[\"']post[\"'].*?</form>", text, re.DOTALL | re.IGNORECASE)
    assert _name(path) in WITHOUT_TOKEN or not [form[:80] for form in forms if "csrf_token" not in form]


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        '<p style="color:red">x</p>',
        "<style>p{}</style>",
        '<button onclick="x()">x</button>',
        '<a href="javascript:x()">x</a>',
        '<script src="https://cdn.example.com/x.js"></script>',
        '<link href="//cdn.example.com/x.css">',
        '<div hx-on:click="x()"></div>',
        "<div hx-vals='js:{a: 1}'></div>",
    ],
)
def test_would_notice(text: str) -> None:
    assert list(_refusals(text))


def test_loads_its_tags_everywhere() -> None:
    assert "apps.core.templatetags.ui" in engines["django"].engine.builtins
