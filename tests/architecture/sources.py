"""The repository's own files, as the tests of its rules read them."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = (
    "core",
    "accounts",
    "projects",
    "providers",
    "alerts",
    "telemetry",
    "prompts",
    "playground",
    "evals",
    "budgets",
    "promotions",
    "dashboards",
)
"""From the lowest floor to the highest, as the contract `app-order` has them; a test compares the two. Telemetry and
prompts stand on one floor, as do alerts and providers, and budgets and evals."""


@cache
def product_files() -> tuple[Path, ...]:
    """Every Python file that runs in production, migrations left out."""
    found = [ROOT / "manage.py", *(ROOT / "llmops_site").rglob("*.py"), *(ROOT / "apps").rglob("*.py")]
    return tuple(sorted(path for path in found if "migrations" not in path.parts))


@cache
def tree_of(path: Path) -> ast.Module:
    """The file's syntax tree."""
    # In a thread of its own: the greenlets of browser tests confuse the parser's count of its depth (CPython 3.11).
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(ast.parse, path.read_text(), str(path)).result()


def place(path: Path, node: ast.AST) -> str:
    """Where a node stands, as an editor understands it."""
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def parts(name: str) -> Iterator[Path]:
    """The files of one part of every app: `services` is services.py or everything in services/."""
    for path in product_files():
        inside = path.relative_to(ROOT).parts
        if inside[0] == "apps" and len(inside) > 2 and inside[2] in {f"{name}.py", name}:
            yield path


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a chain of names and attributes; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def imported_names(tree: ast.Module) -> Iterator[tuple[ast.stmt, str]]:
    """Every module or name that is imported, in full: `from a import b` is `a.b`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from ((node, f"{node.module}.{alias.name}") for alias in node.names)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Every file under version control that exists; every file but the ignored ones where there is no git."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [path for path in ROOT.rglob("*") if not _is_ignored(path)]
    return tuple(sorted(path for path in paths if path.is_file()))


def _is_ignored(path: Path) -> bool:
    inside = path.relative_to(ROOT).parts
    return inside[0] in {".git", ".venv", "var", "staticfiles"} or any(part.endswith("_cache") for part in inside)


def text_of(path: Path) -> str:
    """The file as text; empty for a binary one."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""
