"""Which release rule counts, what of it decides, and what its change leaves in the audit trail."""

from __future__ import annotations

import pytest

from apps.core.errors import Invalid
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.promotions.rules import rule_hash, said_from_dict
from apps.promotions.selectors import rules as selectors
from apps.promotions.services import rules
from apps.promotions.services.rules import NewRule
from apps.prompts import services as prompts
from tests import factories
from tests.promotions import making

pytestmark = pytest.mark.django_db


def test_the_most_particular_rule_counts(project: Project, other_project: Project) -> None:
    prompt = making.make_version(project).prompt
    prompt = prompts.change_prompt(
        prompt=prompt, feature="chat", is_admin=True, keeps_owner=True, actor=SYSTEM, now=factories.NOW
    )
    place = making.environment(project)
    gates = [making.make_gate(project)]
    assert selectors.rule_for(prompt, place) is None
    making.make_rule(other_project)
    making.make_rule(project, gates=gates, feature="billing")
    assert selectors.rule_for(prompt, place) is None
    made = [
        making.make_rule(project, gates=gates),
        making.make_rule(project, gates=gates, feature="chat"),
        making.make_rule(project, prompt, gates=gates),
    ]
    scopes = ["the prompt support/answer", "the feature chat", "every prompt"]
    for scope in scopes:
        rule = selectors.rule_for(prompt, place)
        assert rule is not None
        assert (rule, selectors.scope_of(rule)) == (made.pop(), scope)
        rules.remove_rule(rule=rule, actor=SYSTEM, now=factories.NOW)
    assert selectors.rule_for(prompt, place) is None


def test_what_decides_is_hashed_and_what_changed_is_told(project: Project) -> None:
    one, two = making.make_gate(project), making.make_gate(project, "safe", count=120)
    rule = making.make_rule(project, gates=[one, two])
    said = selectors.said_of(rule)
    assert said == said_from_dict(said.as_dict())
    assert said.hash == rule_hash([two.uuid, one.uuid], 1)
    assert [gate.is_lowered for gate in said.gates] == [False, True]
    assert "at least 4 approved examples, lowered from 100" in " ".join(said.sentences)
    watched = making.make_rule(project, gates=[two, one], rolls_back=True, watch_hours=6)
    assert (watched.pk, selectors.hash_of(watched)) == (rule.pk, said.hash)
    hashes = {
        said.hash,
        *(selectors.hash_of(making.make_rule(project, gates=[one], approvals_needed=n)) for n in (1, 2)),
    }
    assert len(hashes) == 3
    entries = AuditEntry.objects.filter(action="promotions.rule_changed").order_by("number")
    changed = [one.details["changed"] for one in entries]
    assert changed[1:] == [
        ["rolls_back: false -> true", "watch_hours: 24 -> 6"],
        ["gates: safe, ship -> ship", "rolls_back: true -> false", "watch_hours: 6 -> 24"],
        ["approvals_needed: 1 -> 2"],
    ]
    making.make_rule(project, gates=[one], approvals_needed=2)
    assert AuditEntry.objects.filter(action="promotions.rule_changed").count() == 4, "nothing changed"


def test_refuses_rules_that_show_nothing(project: Project, other_project: Project) -> None:
    gate, foreign = making.make_gate(project), making.make_gate(other_project)
    prompt = making.make_version(other_project).prompt
    place = making.environment(project)
    for wrong, field in (
        (NewRule(place, []), "gates"),
        (NewRule(place, [foreign]), "gates"),
        (NewRule(place, [gate], approvals_needed=0), "approvals_needed"),
        (NewRule(place, [gate], watch_hours=169), "watch_hours"),
        (NewRule(place, [gate], prompt=prompt), "prompt"),
        (NewRule(making.environment(project, "staging"), [gate]), "environment"),
        (NewRule(making.environment(other_project), [gate]), "environment"),
    ):
        with pytest.raises(Invalid) as refused:
            rules.set_rule(project=project, rule=wrong, actor=SYSTEM, now=factories.NOW)
        assert list(refused.value.details) == [field]
    gate.archived_at = factories.NOW
    gate.save()
    with pytest.raises(Invalid, match="The gate ship is archived"):
        rules.set_rule(project=project, rule=NewRule(place, [gate]), actor=SYSTEM, now=factories.NOW)
