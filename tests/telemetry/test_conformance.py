"""Every recorded flow of every client through the real doors, read back through the API, field by field.

The result is the table in docs/clients/conformance.md. To write it anew:

    PRODWORTHY_WRITE_CONFORMANCE=1 pytest tests/telemetry/test_conformance.py
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.test import Client

from apps.core import clock
from apps.projects.models import Scope
from tests import factories
from tests.telemetry import captured

pytestmark = pytest.mark.django_db(transaction=True)

PAGE = Path(__file__).parents[2] / "docs" / "clients" / "conformance.md"
WRITE = "PRODWORTHY_WRITE_CONFORMANCE"
RECORDED = datetime(2026, 11, 23, 18, 0, tzinfo=UTC)
"""A moment soon after the recordings; older ones would be kept under the time at which they arrive."""

Results = dict[str, dict[str, list[str]]]
"""By client and field: for each flow that was checked, `ok` or the flow's name."""


@pytest.fixture(autouse=True)
def _soon_after(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now", lambda: RECORDED)


def test_every_flow_of_every_client_reads_back_as_expected(span_tables: None, address: str) -> None:
    results: Results = {}
    failures: list[str] = []
    with httpx.Client(base_url=address, timeout=60) as sender:
        for client in captured.CLIENTS:
            results[client] = {name: [] for name in captured.FIELDS}
            requests = captured.requests_of(client)
            for flow, said in captured.expected_of(client)["flows"].items():
                traces = _through_the_doors(sender, requests[flow])
                for name, (want, got) in captured.findings(said["expect"], traces).items():
                    wrong = want != got
                    results[client][name].append(flow if wrong else "ok")
                    if wrong:
                        failures.append(f"{client} {flow} {name}: expected {want!r}, got {got!r}")
    page = _page(results)
    if os.environ.get(WRITE):
        PAGE.write_text(page)
    assert failures == []
    assert PAGE.read_text() == page, f"run this test with {WRITE}=1 to write {PAGE.name} anew"


def _through_the_doors(sender: httpx.Client, requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send a flow into a project of its own; returns all traces of it."""
    project = factories.make_project()
    key = factories.make_key(project, Scope.INGEST, Scope.READ)
    for request in requests:
        answer = captured.send(sender, key, request)
        assert answer.status_code == 200, f"{request['path']}: {answer.status_code} {answer.text}"
        if "json" in answer.headers["content-type"]:
            assert answer.json().keys().isdisjoint({"partialSuccess"}), answer.text
            assert not answer.json().get("rejected"), answer.text
        else:
            assert answer.content == b"", "a partial success"
    api = Client(headers={"Authorization": f"Bearer {key}"})
    listed = api.get("/api/v1/traces", {"limit": "100"}).json()
    assert listed["next"] is None
    return [api.get(f"/api/v1/traces/{item['trace_id']}").json() for item in listed["items"]]


def _page(results: Results) -> str:
    lines = [
        "# What each client's telemetry gives",
        "",
        "Recorded requests of real client libraries, sent to the real doors and read back through the API. A cell says",
        "in how many of the checked flows the value was exactly right; `–` where no flow has it on the wire. `unknown`",
        "is checked where a client sends no usage: tokens and cost must be null then, not zero. Written by",
        "`tests/telemetry/test_conformance.py`, which fails when this page is not what it finds.",
        "",
        "| Client | " + " | ".join(name.replace("_", " ") for name in captured.FIELDS) + " |",
        "|---|" + "---|" * len(captured.FIELDS),
    ]
    for client, fields in results.items():
        cells = [_cell(fields[name]) for name in captured.FIELDS]
        lines.append(f"| {client} | " + " | ".join(cells) + " |")
    lines += ["", "Versions of the libraries:", ""]
    for client in results:
        packages = captured.expected_of(client)["packages"]
        lines.append(f"- {client}: " + ", ".join(f"{name} {version}" for name, version in packages.items()))
    return "\n".join(lines) + "\n"


def _cell(outcomes: list[str]) -> str:
    return f"{outcomes.count('ok')}/{len(outcomes)}" if outcomes else "–"
