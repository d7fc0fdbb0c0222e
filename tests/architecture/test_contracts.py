"""The import contracts hold, and each of them would notice its own violation."""

from __future__ import annotations

import copy
from typing import Any

import grimp
import pytest
from importlinter.api import read_configuration
from importlinter.contracts.forbidden import ForbiddenContract
from importlinter.contracts.layers import LayersContract
from importlinter.contracts.protected import ProtectedContract

from tests.architecture.sources import APPS, ROOT

CONFIGURATION = read_configuration(str(ROOT / "pyproject.toml"))
CONTRACTS: dict[str, dict[str, Any]] = {options["id"]: options for options in CONFIGURATION["contracts_options"]}
TYPES = {"layers": LayersContract, "forbidden": ForbiddenContract, "protected": ProtectedContract}

PLANTED = [
    ("app-order", "apps.projects.services.projects", "apps.telemetry.selectors.traces"),
    ("app-order", "apps.core.clock", "apps.accounts.models"),
    ("app-order", "apps.telemetry.selectors.traces", "apps.prompts.models"),
    ("app-order", "apps.prompts.selectors.prompts", "apps.telemetry.selectors.traces"),
    ("site-on-top", "apps.core.stack.places", "llmops_site.env"),
    ("inside-an-app", "apps.projects.models", "apps.projects.selectors"),
    ("inside-an-app", "apps.projects.selectors", "apps.projects.services.names"),
    ("inside-an-app", "apps.telemetry.services.storing", "apps.telemetry.doors"),
    ("inside-an-app", "apps.projects.services.projects", "apps.projects.serializers"),
    ("doors-are-private", "apps.dashboards.apps", "apps.projects.views.general"),
    ("doors-are-private", "apps.dashboards.apps", "apps.telemetry.doors"),
    ("shapes-are-private", "apps.dashboards.apps", "apps.projects.forms"),
    ("web-free-services", "apps.projects.services.names", "rest_framework"),
    ("web-free-services", "apps.telemetry.selectors.traces", "django_htmx"),
    ("one-door-to-litellm", "apps.providers.price_file", "litellm"),
    ("one-door-to-litellm", "apps.providers.client", "litellm"),
    ("one-door-to-litellm", "apps.providers.adapters.sending", "litellm"),
    ("pure-cores", "apps.providers.pricing", "django"),
    ("pure-cores", "apps.core.periods", "celery"),
]


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    """Who imports whom."""
    return grimp.build_graph("llmops_site", "apps", include_external_packages=True, cache_dir=None)


def _is_kept(contract: str, graph: grimp.ImportGraph) -> bool:
    options = CONTRACTS[contract]
    session = CONFIGURATION["session_options"]
    built = TYPES[options["type"]](name=options["name"], session_options=session, contract_options=options)
    return built.check(copy.deepcopy(graph), verbose=False).kept


@pytest.mark.parametrize("contract", CONTRACTS)
def test_keeps(contract: str, graph: grimp.ImportGraph) -> None:
    assert _is_kept(contract, graph), f"run lint-imports to see who breaks {contract}"


@pytest.mark.parametrize(("contract", "importer", "imported"), PLANTED)
def test_notices_a_violation(contract: str, importer: str, imported: str, graph: grimp.ImportGraph) -> None:
    planted = copy.deepcopy(graph)
    assert importer in planted.modules, f"{importer} was moved: plant the violation somewhere else"
    if imported not in planted.modules:
        planted.add_module(imported, is_squashed=True)
    planted.add_import(importer=importer, imported=imported, line_number=1, line_contents=f"import {imported}")
    assert not _is_kept(contract, planted)


def test_has_a_planted_violation_of_every_contract() -> None:
    assert {contract for contract, *_ in PLANTED} == set(CONTRACTS)


def test_notices_an_app_without_a_floor(graph: grimp.ImportGraph) -> None:
    planted = copy.deepcopy(graph)
    planted.add_module("apps.gadgets")
    assert not _is_kept("app-order", planted)


def test_agrees_with_the_order_the_other_tests_use() -> None:
    floors = [layer.split(" | ") for layer in CONTRACTS["app-order"]["layers"]]
    assert [app for floor in floors for app in floor] == list(reversed(APPS))
