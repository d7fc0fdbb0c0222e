"""Whatever leaves goes through one package."""

from __future__ import annotations

import ast

from tests.architecture.sources import ROOT, dotted, imported_names, place, product_files, tree_of

WAYS_OUT = (
    *("aiohttp", "httpx", "requests", "urllib3", "urllib.request", "http.client", "xmlrpc", "websockets"),
    *("socket", "ssl", "smtplib", "ftplib", "telnetlib", "poplib", "imaplib", "openai", "anthropic"),
)
OPENS_CONNECTIONS = {
    "create_connection",
    "open_connection",
    "open_unix_connection",
    "urlopen",
    "create_datagram_endpoint",
}
MAY = {
    "apps/core/stack/ports.py": "looks for a free port to listen on",
    "apps/core/stack/valkey.py": "asks our own Valkey, by its Unix socket, whether it is there",
    "apps/core/stack/program.py": "asks our own web server whether it is there",
    "apps/accounts/adapters.py": "names the errors of Django's mail, which goes to the operator's server",
    "apps/projects/views/members.py": "names the errors of Django's mail",
    "apps/providers/adapters/litellm_transport.py": "puts the egress under LiteLLM's httpx, and opens nothing itself",
    "apps/prompts/cli/prompts.py": "runs in CI, outside of the product, and asks it over HTTP",
    "apps/evals/cli/evals.py": "runs in CI, outside of the product, and asks it over HTTP",
    "apps/promotions/cli/promotions.py": "runs in CI, outside of the product, and asks it over HTTP",
    "apps/core/readiness.py": "Django's word for a new connection to the database",
}


def _is_way_out(name: str) -> bool:
    return any(name == way or name.startswith(f"{way}.") for way in WAYS_OUT)


def test_goes_out_by_one_door() -> None:
    found = []
    for path in product_files():
        inside = str(path.relative_to(ROOT))
        if inside.startswith("apps/core/egress/") or inside in MAY:
            continue
        tree = tree_of(path)
        found += [f"{place(path, node)} {name}" for node, name in imported_names(tree) if _is_way_out(name)]
        found += [
            f"{place(path, node)} {dotted(node.func)}"
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] in OPENS_CONNECTIONS
        ]
    assert not found, "call apps.core.egress instead"


def test_excuses_no_file_that_needs_no_excuse() -> None:
    needing = set()
    for inside in MAY:
        tree = tree_of(ROOT / inside)
        calls = {dotted(node.func).split(".")[-1] for node in ast.walk(tree) if isinstance(node, ast.Call)}
        if calls & OPENS_CONNECTIONS or any(_is_way_out(name) for _, name in imported_names(tree)):
            needing.add(inside)
    assert needing == set(MAY)
