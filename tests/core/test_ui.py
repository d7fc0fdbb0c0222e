"""The tags: what they write, and that nothing anybody typed becomes markup."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.template import Context, Template
from django.test import RequestFactory

from apps.core import charts, clock, drawings
from apps.core.shell import ProjectLink, Shell

ROOT = Path(__file__).parents[2]
EVIL = "<script>alert('x')</script>"


def render(source: str, url: str = "/", shell: Shell | None = None, **context: Any) -> str:
    """The template's text for a request of that address."""
    request = RequestFactory().get(url)
    request.shell = shell  # type: ignore[attr-defined]
    return Template(source).render(Context({"request": request, **context}))


def sprite() -> set[str]:
    """The names of all drawings there are."""
    return set(re.findall(r'<symbol id="([^"]+)"', (ROOT / "static/img/icons.svg").read_text()))


def test_has_a_drawing_for_every_state_and_box() -> None:
    assert {look.icon for look in drawings.STATES.values()} <= sprite()
    assert {f"box-{state}" for state in drawings.BOX_WORDS} <= sprite()


def test_has_every_drawing_that_a_template_names() -> None:
    named = {
        name for file in ROOT.glob("templates/**/*.html") for name in re.findall(r'{% icon "([^"]+)"', file.read_text())
    }
    assert named
    assert named <= sprite()


def test_says_a_state_by_icon_word_and_color() -> None:
    html = render('{% status "fail" %}')
    assert 'class="status is-fail"' in html
    assert "icons.svg#x" in html
    assert "Fail" in html
    with pytest.raises(KeyError):
        render('{% status "splendid" %}')


@pytest.mark.parametrize(
    "source", ['{% status "pass" evil %}', "{% badge evil %}", "{% crumb evil %}", "{% meter 0.5 evil %}"]
)
def test_escapes_what_it_is_given(source: str) -> None:
    assert "<script>" not in render(source, evil=EVIL)


def test_reads_the_twelve_boxes_out() -> None:
    html = render("{% boxes states %}", states=["pass", "stale", "pass", "fail", "waived", *["pass"] * 7])
    assert 'aria-label="9 of 12 boxes ticked: 1 failing, 1 stale, 1 waived"' in html
    assert [group.count("<use") for group in html.split("boxes__group")[1:]] == [5, 4, 3]


def test_shows_an_age_with_the_exact_time_on_hover() -> None:
    html = render("{% ago moment suffix=True %}", moment=clock.now() - timedelta(hours=2, minutes=1))
    assert "2\u00a0h ago</time>" in html
    assert "UTC" in html
    assert render("{% ago None %}") == "–"


def test_marks_a_change_only_when_it_matters() -> None:
    assert 'class="delta is-bad"' in render('{% delta 200 100 good="down" %}')
    assert 'class="delta"' in render('{% delta 101 100 good="down" %}')
    assert "nothing to compare with" in render('{% delta 101 None good="down" %}')


def test_interrupts_a_sparkline_where_a_value_is_unknown() -> None:
    html = render("{% sparkline values %}", values=[1.0, 2.0, None, 3.0, None, 1.0])
    path = re.search(r'd="([^"]+)"', html)
    assert path
    assert path[1] == "M0.0 26.0L20.0 14.0M60.0 2.0h0.1M100.0 26.0h0.1"
    assert "path" not in render("{% sparkline values %}", values=[None, None])


@pytest.mark.parametrize(("share", "state"), [(0.5, ""), (0.8, " is-warn"), (1.0, " is-warn"), (1.046, " is-fail")])
def test_turns_a_budget_amber_from_80_percent_and_red_past_100(share: float, state: str) -> None:
    html = render("{% budget share %}", share=share)
    assert f'class="fill{state}"' in html
    assert f'width="{min(share, 1) * 100}%"' in html


@pytest.mark.parametrize(
    ("url", "tag", "expected"),
    [
        ("/?range=7d&env=staging", '{% query range="24h" %}', "?range=24h&amp;env=staging"),
        ("/?feature=a&cursor=x", '{% query feature="b" %}', "?feature=b"),
        ("/?feature=a&page=2", "{% query page=3 %}", "?feature=a&amp;page=3"),
        ("/?feature=a&feature=b&x=1", "{% query x=None %}", "?feature=a&amp;feature=b"),
        ("/?feature=a", '{% query feature="" %}', "?"),
        ("/?q=%3Cscript%3E", '{% query a="b&c" %}', "?q=%3Cscript%3E&amp;a=b%26c"),
    ],
)
def test_changes_one_parameter_and_keeps_the_others(url: str, tag: str, expected: str) -> None:
    assert render(tag, url) == expected


def test_links_every_range_and_marks_the_chosen_one() -> None:
    html = render("{% range_picker %}", "/?range=7d&feature=a&cursor=x")
    assert '<a href="?range=7d&amp;feature=a" aria-current="true">7d</a>' in html
    assert '<a href="?range=24h&amp;feature=a">24h</a>' in html
    assert '<input type="hidden" name="feature" value="a">' in html
    assert 'name="cursor"' not in html


def test_names_a_range_of_ones_own() -> None:
    html = render("{% range_picker %}", "/?from=2026-01-03T10:00&to=2026-01-05T12:00&range=7d")
    assert "Other time range, now Jan 3" in html
    assert 'value="2026-01-03T10:00"' in html
    assert 'aria-current="true">7d' not in html


def test_offers_the_projects_environments() -> None:
    shell = Shell(person_name="Ana", person_initials="A", environments=("production", "staging"))
    html = render("{% environment_picker %}", "/?env=staging&range=7d", shell)
    assert 'aria-label="Environment: staging"' in html
    assert 'href="?env=all&amp;range=7d"' in html
    assert "Environment: all environments" in render("{% environment_picker %}", "/?env=nowhere", shell)
    assert render("{% environment_picker %}").strip() == ""


class SettingsForm(forms.Form):
    """One field of each kind."""

    name = forms.CharField(help_text="Shown to all.")
    limit = forms.IntegerField(required=False)
    role = forms.ChoiceField(choices=[("a", "Admin"), ("b", "Viewer")], widget=forms.RadioSelect)
    agree = forms.BooleanField()


def test_ties_help_and_error_to_their_field() -> None:
    html = render("{% field form.name %}", form=SettingsForm({"name": ""}))
    assert 'aria-describedby="id_name_help id_name_error"' in html
    assert 'id="id_name_help"' in html
    assert 'id="id_name_error"' in html
    assert 'aria-invalid="true"' in html


def test_keeps_what_was_typed_beside_the_error() -> None:
    html = render('{% field form.limit suffix="ms" %}', form=SettingsForm({"limit": "six & a half"}))
    assert 'value="six &amp; a half"' in html
    assert "Enter a whole number." in html


def test_labels_each_kind_of_field() -> None:
    form = SettingsForm()
    assert "(optional)" in render("{% field form.limit %}", form=form)
    assert "(optional)" not in render("{% field form.name %}", form=form)
    radios = render("{% field form.role %}", form=form)
    assert radios.count("<fieldset") == 1
    assert radios.count('type="radio"') == 2
    assert re.search(
        r'<label class="choice" for="id_agree"><input type="checkbox"', render("{% field form.agree %}", form=form)
    )


def test_counts_the_fields_that_need_a_change() -> None:
    form = SettingsForm({"limit": "x", "role": "a", "agree": "on"})
    assert "2 fields need a change" in render("{% form_errors form %}", form=form)
    assert render("{% form_errors form %}", form=SettingsForm()).strip() == ""


def test_copies_code_as_it_is_and_escapes_it() -> None:
    html = render("{% copy_block code %}", code='# say <hi>\ncurl -H "A: <b>" \'{"x": 1}\'')
    shown = re.search(r"<pre[^>]*>(.*?)</pre>", html, re.DOTALL)
    assert shown
    assert re.sub(r"</?span[^>]*>", "", shown[1]) == (
        "# say &lt;hi&gt;\ncurl -H &quot;A: &lt;b&gt;&quot; &#x27;{&quot;x&quot;: 1}&#x27;"
    )
    assert '<span class="c"># say &lt;hi&gt;</span>' in html
    assert '<span class="q">&quot;A: &lt;b&gt;&quot;</span>' in html


def test_frames_a_chart_with_its_table_and_cannot_be_broken_out_of() -> None:
    drawing = charts.lines(
        id="latency",
        title="Is it <b>quick</b>?",
        times=[clock.now(), clock.now() + timedelta(hours=1)],
        series=[charts.Series("</script><script>alert(1)</script>", [842, None]), charts.Series("P50", [1, 2], 3)],
        unit=charts.MS,
    )
    html = render("{% chart drawing %}", drawing=drawing)
    assert "<script>alert" not in html
    assert "Is it &lt;b&gt;quick&lt;/b&gt;?" in html
    assert "842\u00a0ms" in html
    assert html.count("data-series=") == 2


def test_shows_no_axes_without_numbers() -> None:
    drawing = charts.lines(
        id="a", title="Why?", times=[clock.now()], series=[charts.Series("x", [None])], unit=charts.MS
    )
    html = render("{% chart drawing %}", drawing=drawing)
    assert "Nothing was measured in this time." in html
    assert "data-chart-box" not in html


def test_shows_the_rail_of_the_project_only() -> None:
    shell = Shell(person_name="Ana", person_initials="A")
    assert render("{% rail as groups %}{{ groups|length }}", "/", shell) == "0"
    link = ProjectLink(name="Harbor", slug="harbor", url="/p/harbor/")
    with_project = Shell(person_name="Ana", person_initials="A", project=link)
    html = render(
        "{% rail as groups %}{% for g in groups %}{% for i in g.items %}{{ i.url }} {% endfor %}{% endfor %}",
        "/p/harbor/?range=7d&feature=a",
        with_project,
    )
    assert "/p/harbor/settings" in html
    assert "range=7d" in html
    assert "feature=a" not in html
