"""How long a run of an eval takes beside the time that its provider alone would need.

    python benchmarks/evalrun.py                      # an embedded PostgreSQL in a directory that is removed again
    python benchmarks/evalrun.py --database-url URL   # a server that is there; its database must be empty
    python benchmarks/evalrun.py --examples 1000 --concurrency 50 --latency 0.2 --rounds 3

The provider is a process of its own that answers after the latency. A run is timed from the call that starts it to the
moment at which it is finished in the database: its rows are made, leased, called, scored, stored, told to telemetry and
summed up. The worker's task is called directly, after one small run that loads what a worker has loaded for good. In
the same round a bare aiohttp loop makes the same calls. The ratio is to the ideal: latency x examples / concurrency.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "bench",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * 50}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 80, "completion_tokens": 50, "total_tokens": 130},
}
ASK = "What is the capital of France? " * 10


# --- The provider


async def _serve(pipe: Connection, latency: float) -> None:
    whole = json.dumps(ANSWER).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(whole), whole)

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(request.lower().split(b"content-length:")[1].split(b"\r\n")[0]))
                await asyncio.sleep(latency)
                writer.write(answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, backlog=1024)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _provider(pipe: Connection, latency: float) -> None:
    asyncio.run(_serve(pipe, latency))


# --- The two ways


async def _bare(port: int, examples: int, concurrency: int) -> float:
    """Seconds that a loop of aiohttp takes which keeps nothing."""
    import aiohttp

    left = iter(range(examples))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=concurrency)) as session:

        async def worker() -> None:
            for _ in left:
                body = {"model": "bench", "messages": [{"role": "user", "content": ASK}]}
                async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as answer:
                    assert (await answer.json())["usage"]

        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(concurrency)))
        return time.perf_counter() - began


def _run(project: Any, examples: str, concurrency: int) -> float:
    """Seconds from the call that starts the run until it is finished."""
    from apps.core import clock
    from apps.evals.services import executing, runs
    from apps.evals.types import RunSource, RunSpec, ScorerChoice
    from apps.projects.types import SYSTEM

    spec = RunSpec(
        eval_set=examples,
        scorers=(ScorerChoice("exact"),),
        prompt="ask",
        model="bench/bench",
        concurrency=concurrency,
        use_cache=False,
    )
    began = time.perf_counter()
    run = runs.start_run(project=project, spec=spec, actor=SYSTEM, source=RunSource.CLI, now=clock.now())
    executing.work()
    took = time.perf_counter() - began
    run.refresh_from_db()
    assert (run.state, run.failed, run.untraced_calls) == ("finished", 0, 0), (run.state, run.sentence, run.failed)
    assert run.done == run.total
    return took


def _prepare(port: int, examples: int) -> Any:
    """A project with a connection, a prompt, a scorer and two sets."""
    from datetime import date

    from apps.accounts.models import User
    from apps.core import clock
    from apps.projects import services as projects
    from apps.projects.types import SYSTEM, Actor
    from apps.prompts import services as prompts
    from apps.prompts.content import Content, Message, Variable
    from apps.providers.services import connections, prices
    from apps.providers.services.connections import ConnectionFields
    from tests.evals import making

    now = clock.now()
    user = User.objects.create_user(email="ana@example.com", password=secrets.token_urlsafe(24))
    project = projects.create_project(name="Bench", creator=user, actor=Actor("user", user.pk, "ana"), now=now)
    fields = ConnectionFields(
        name="bench", protocol="openai", provider="openai", base_url=f"http://127.0.0.1:{port}/v1", models=("bench",)
    )
    connections.add_connection(project=project, slug="bench", values=fields, secret="sk-1", actor=SYSTEM, now=now)
    rates = {"input": "1", "output": "2"}
    prices.add_own_price(
        project=project, provider="", model="bench", rates=rates, starts_on=date(2020, 1, 1), actor=SYSTEM, now=now
    )
    content = Content(messages=(Message("user", ASK + "{{question}}"),), variables=(Variable("question"),))
    prompt = prompts.create_prompt(project=project, name="ask", actor=SYSTEM, now=now)
    prompts.publish(prompt=prompt, content=content, author=user, actor=SYSTEM, now=now)
    making.make_scorer(project, config={"trim": True, "strip": True, "ignore_case": False})
    for slug, count in (("small", 20), ("large", examples)):
        rows = [{"key": f"k{at:06}", "variables": {"question": f"{at}?"}, "expected": "word"} for at in range(count)]
        making.make_set(project, slug, examples=rows)
    return project


@contextmanager
def _installed(url: str, port: int) -> Iterator[None]:
    """An empty product, removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="prodworthy-evalrun-") as directory:
        Path(directory).chmod(0o755)  # as root, the server runs as somebody else
        os.environ |= {"PRODWORTHY_VAR": directory, "DJANGO_SETTINGS_MODULE": "llmops_site.settings"}
        os.environ |= {"PRODWORTHY_EGRESS_ALLOW": f"127.0.0.1:{port}"}
        os.environ |= {"DATABASE_URL": url} if url else {}
        import django

        django.setup()
        with _postgres(Path(directory), url):
            from django.core.management import call_command

            call_command("migrate", verbosity=0)
            yield


@contextmanager
def _postgres(directory: Path, url: str) -> Iterator[None]:
    if url:
        yield
        return
    from apps.core.stack import places
    from apps.core.stack.postgres import Postgres

    chosen = places.choose(directory)
    server = Postgres(chosen.home / "postgres", chosen.sockets, directory / "postgres.log")
    server.prepare()
    server.start()
    try:
        server.wait_ready()
        yield
    finally:
        server.stop()


def main() -> None:
    """Print one line for each round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--database-url", default="")
    parser.add_argument("--examples", type=int, default=1000)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=3)
    told = parser.parse_args()
    ours, theirs = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    provider = context.Process(target=_provider, args=(theirs, told.latency), daemon=True)
    provider.start()
    port = ours.recv()
    ideal = told.latency * -(-told.examples // told.concurrency)
    try:
        with _installed(told.database_url, port):
            from apps.core import jobs

            jobs.enqueue = lambda *_, **__: None  # there is no broker; the task is called directly
            project = _prepare(port, told.examples)
            _run(project, "small", told.concurrency)
            ratios = []
            for number in range(told.rounds):
                bare = asyncio.run(_bare(port, told.examples, told.concurrency))
                took = _run(project, "large", told.concurrency)
                ratios.append(took / ideal)
                print(f"round {number + 1}: ideal {ideal:.2f} s, bare aiohttp {bare:.2f} s, run {took:.2f} s")
            print(f"run / ideal: {statistics.median(ratios):.3f} (of {', '.join(f'{one:.3f}' for one in ratios)})")
    finally:
        provider.terminate()


if __name__ == "__main__":
    main()
