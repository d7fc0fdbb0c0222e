"""CPU that a call of a model costs, by our client and by bare aiohttp, against the same server in one run.

    python benchmarks/provider_client.py            # no database is used; 1,000 calls a case and round
    python benchmarks/provider_client.py --calls 200 --rounds 3

The server is a process of its own that answers with fixed bytes; the CPU counted is that of this process alone. Bare
aiohttp sends the same body and reads the same bytes: it checks no address, has no limits, and parses each event with
`json.loads`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "llmops_site.settings")

IN_FLIGHT = 16
TOKENS = 32
ASK = [{"role": "user", "content": "What is the capital of France?" * 10}]
USAGE = {"prompt_tokens": 80, "completion_tokens": TOKENS, "total_tokens": 80 + TOKENS}
FRAME = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "bench"}
WHOLE = {
    **FRAME,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "word " * TOKENS}, "finish_reason": "stop"}],
    "usage": USAGE,
}


def _events() -> list[bytes]:
    deltas: list[tuple[object, str | None]] = [({"content": "word "}, None)] * TOKENS + [({}, "stop")]
    chunks: list[object] = [
        {**FRAME, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]} for delta, finish in deltas
    ]
    chunks.append({**FRAME, "choices": [], "usage": USAGE})
    return [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks] + [b"data: [DONE]\n\n"]


async def _serve(pipe: Connection) -> None:
    whole = json.dumps(WHOLE).encode()
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(whole), whole)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%s\r\n" % (len(event), event) for event in _events()]

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                size = int(request.lower().split(b"content-length:")[1].split(b"\r\n")[0])
                body = await reader.readexactly(size)
                if b'"stream":true' not in body.replace(b" ", b""):
                    writer.write(answer)
                    continue
                writer.write(head)
                for chunk in chunks:
                    writer.write(chunk)
                    await asyncio.sleep(0)
                writer.write(b"0\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    pipe.send(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def _server(pipe: Connection) -> None:
    asyncio.run(_serve(pipe))


async def _cpu_per_call(once: Callable[[], Awaitable[None]], calls: int) -> float:
    """Milliseconds of this process's CPU a call, with several in flight."""
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await once()

    began = time.process_time()
    await asyncio.gather(*(worker() for _ in range(IN_FLIGHT)))
    return (time.process_time() - began) * 1000 / calls


async def _measure(port: int, calls: int, rounds: int) -> dict[str, list[float]]:
    import aiohttp

    from apps.core import egress
    from apps.providers import client
    from apps.providers.calls import ModelReply, ModelRequest, Protocol, Target

    url = f"http://127.0.0.1:{port}/v1"
    target = Target(Protocol.OPENAI, "openai", "bench", url, "sk-bench-0123456789")
    request = ModelRequest(messages=tuple(ASK))
    headers = {"Authorization": f"Bearer {target.secret}"}

    async with aiohttp.ClientSession() as bare:

        async def bare_whole() -> None:
            async with bare.post(
                f"{url}/chat/completions", json={"model": "bench", "messages": ASK}, headers=headers
            ) as answer:
                assert (await answer.json())["usage"]

        async def bare_stream() -> None:
            body = {"model": "bench", "messages": ASK, "stream": True}
            async with bare.post(f"{url}/chat/completions", json=body, headers=headers) as answer:
                texts = []
                async for line in answer.content:
                    if line.startswith(b"data: {"):
                        choices = json.loads(line[6:])["choices"]
                        texts += [choice["delta"].get("content", "") for choice in choices]
                assert len(texts) == TOKENS + 1

        async def our_whole() -> None:
            assert (await client.complete(target, request)).is_complete

        async def our_stream() -> None:
            last = None
            async for item in client.stream(target, request):
                last = item
            assert isinstance(last, ModelReply)
            assert last.is_complete

        cases = {"bare whole": bare_whole, "our whole": our_whole, "bare stream": bare_stream, "our stream": our_stream}
        figures: dict[str, list[float]] = {name: [] for name in cases}
        for round_ in range(rounds + 1):  # the first one warms up
            for name, once in cases.items():
                figure = await _cpu_per_call(once, calls)
                if round_:
                    figures[name].append(figure)
    await egress.finish()
    return figures


def main() -> None:
    """Run the rounds and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000, help="calls of each case in a round")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()

    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_server, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    os.environ["PRODWORTHY_EGRESS_ALLOW"] = f"127.0.0.1:{port}"

    import django

    django.setup()
    figures = {
        name: statistics.median(row) for name, row in asyncio.run(_measure(port, options.calls, options.rounds)).items()
    }
    server.terminate()
    server.join()
    for form in ("whole", "stream"):
        bare, own = figures[f"bare {form}"], figures[f"our {form}"]
        print(f"{form:6}  aiohttp {bare:.3f} ms  ours {own:.3f} ms  ratio {own / bare:.2f}")


if __name__ == "__main__":
    main()
