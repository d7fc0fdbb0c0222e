"""Real client libraries, live: does a service that sets nothing but environment variables show up right?

    python benchmarks/live_clients.py                    # environments of its own, removed again
    python benchmarks/live_clients.py --environments DIR # made there once, and used again

The OpenAI client, instrumented by OpenTelemetry's GenAI package, by OpenInference and by OpenLLMetry, each in a virtual
environment of its own (installed by pip), calls a provider on this machine that invents its answers. The telemetry goes
to a server started as `manage.py up` starts it. What the API then says of the calls is compared with what the provider
was asked. Nothing leaves this machine but pip's downloads.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from ingest import PASSWORD, database, manage, server

COMMON = ("openai", "opentelemetry-distro", "opentelemetry-exporter-otlp-proto-http")
CLIENTS = {
    "otel-genai": "opentelemetry-instrumentation-genai-openai",
    "openinference": "openinference-instrumentation-openai",
    "openllmetry": "opentelemetry-instrumentation-openai",
}
"""The package that instruments the OpenAI client, by what the run calls it."""

SERVICE = """
import openai

client = openai.OpenAI(max_retries=0)
ask = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is the capital of France?"}]
client.chat.completions.create(model="gpt-4o-mini", messages=ask)
for chunk in client.chat.completions.create(
    model="gpt-4o-mini", messages=ask, stream=True, stream_options={"include_usage": True}
):
    pass
client.embeddings.create(model="text-embedding-3-small", input="How long does a refund take?")
try:
    client.chat.completions.create(model="limited", messages=ask)
except openai.RateLimitError:
    pass
"""
"""The service: it knows the OpenAI client and nothing of telemetry."""

ANSWER = "The capital of France is Paris."
USAGE = {
    "prompt_tokens": 173,
    "completion_tokens": 19,
    "total_tokens": 192,
    "prompt_tokens_details": {"cached_tokens": 64},
}
EXPECTED = {
    "model_calls": 3,
    "model_errors": 1,
    "embedding_calls": 1,
    "input_tokens": 2 * 173,
    "output_tokens": 2 * 19,
    "cached_input_tokens": 2 * 64,
    "embedding_input_tokens": 15,
    "streams with a first token": 1,
    "answers": 2,
    "calls with a cost": 3,
    "service and environment": True,
}


class Provider(BaseHTTPRequestHandler):
    """Answers as OpenAI's API does, always the same; the model `limited` is refused."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Answer a call."""
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.path.endswith("/embeddings"):
            data = [{"object": "embedding", "index": 0, "embedding": [0.25, 0.5]}]
            usage = {"prompt_tokens": 15, "total_tokens": 15}
            self._json(200, {"object": "list", "data": data, "model": asked["model"], "usage": usage})
        elif asked["model"] == "limited":
            self._json(429, {"error": {"message": "Too many requests.", "type": "requests", "code": "rate_limit"}})
        elif asked.get("stream"):
            self._stream()
        else:
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
            self._json(200, {**_head("chat.completion"), "choices": [choice], "usage": USAGE})

    def _json(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _stream(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        head = _head("chat.completion.chunk")
        time.sleep(0.05)
        for word in ANSWER.split():
            self._event({**head, "choices": [{"index": 0, "delta": {"content": word + " "}, "finish_reason": None}]})
        self._event({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        self._event({**head, "choices": [], "usage": USAGE})
        self.wfile.write(b"data: [DONE]\n\n")
        self.close_connection = True

    def _event(self, body: dict[str, Any]) -> None:
        self.wfile.write(b"data: " + json.dumps(body).encode() + b"\n\n")
        self.wfile.flush()

    def log_message(self, *_words: Any) -> None:
        """Say nothing."""


def _head(kind: str) -> dict[str, Any]:
    number = time.time_ns()
    return {"id": f"chatcmpl-{number}", "object": kind, "created": number // 10**9, "model": "gpt-4o-mini-2024-07-18"}


@contextmanager
def provider() -> Iterator[str]:
    """The provider's base address."""
    listener = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    threading.Thread(target=listener.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{listener.server_port}/v1"
    listener.shutdown()


@dataclass(frozen=True)
class Project:
    """Where a client sends to and what it is read back with."""

    address: str
    key: str


def environment(folder: Path, package: str) -> Path:
    """A virtual environment with the OpenAI client and the package, made unless it is there."""
    if not (folder / "bin" / "opentelemetry-instrument").exists():
        venv.create(folder, with_pip=True)
        subprocess.run([folder / "bin" / "pip", "install", "-q", *COMMON, package], check=True)
    return folder


def versions(folder: Path, package: str) -> str:
    """The versions that were installed."""
    listed = subprocess.run(
        [folder / "bin" / "pip", "list", "--format", "json"], check=True, stdout=subprocess.PIPE, text=True
    )
    wanted = {package, "openai", "opentelemetry-sdk"}
    return ", ".join(f"{one['name']} {one['version']}" for one in json.loads(listed.stdout) if one["name"] in wanted)


def run_service(folder: Path, name: str, project: Project, provider_address: str) -> None:
    """Run the service under the distribution's launcher; everything else is in the environment."""
    variables = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": project.address,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{project.key}",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_SERVICE_NAME": name,
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=staging",
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT": "span_only",
        "OPENAI_BASE_URL": provider_address,
        "OPENAI_API_KEY": "sk-none",
    }
    kept = {word: os.environ[word] for word in ("PATH", "HOME", "LANG") if word in os.environ}
    program = folder / "service.py"
    program.write_text(SERVICE)
    subprocess.run(
        [folder / "bin" / "opentelemetry-instrument", folder / "bin" / "python", program],
        check=True,
        env={**kept, **variables},
        timeout=120,
    )


def read_back(project: Project, name: str) -> dict[str, Any]:
    """What the API says of the service's calls."""
    listed = ask(project, "/api/v1/traces?limit=100")["items"]
    traces = [ask(project, f"/api/v1/traces/{item['trace_id']}") for item in listed]
    mine = [trace for trace in traces if any(span["service"] == name for span in trace["spans"])]
    calls = [span for trace in mine for span in trace["spans"] if span["counted"]]
    found: dict[str, Any] = {
        word: sum(trace["totals"][word] for trace in mine)
        for word in EXPECTED
        if word.endswith(("_calls", "_errors", "_tokens"))
    }
    return found | {
        "streams with a first token": sum(span["ttft_ms"] is not None for span in calls),
        "answers": sum(ANSWER in json.dumps(span["output"]) for span in calls if span["kind"] == "llm"),
        "calls with a cost": sum(span["cost_usd"] is not None for span in calls),
        "service and environment": bool(calls)
        and {(span["service"], span["environment"]) for span in calls} == {(name, "staging")},
    }


def ask(project: Project, path: str) -> Any:
    """One answer of the API."""
    request = urllib.request.Request(project.address + path, headers={"Authorization": f"Bearer {project.key}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.loads(answer.read())


def compare(found: dict[str, Any]) -> bool:
    """Print what was found, field by field; true when all of it is as expected."""
    for field, wanted in EXPECTED.items():
        right = found[field] == wanted
        print(f"  {'ok ' if right else 'NOT'}  {field}: {found[field]}" + ("" if right else f", expected {wanted}"))
    return found == EXPECTED


def main() -> None:
    """Run each client and compare; ends with 1 when something is not as expected."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--database-url", default="", help="an empty database to use instead of an embedded one")
    parser.add_argument("--environments", type=Path, help="where the virtual environments are kept between runs")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prodworthy-live-") as scratch:
        Path(scratch).chmod(0o755)  # as root, the database runs as somebody else
        folder = options.environments or Path(scratch)
        right = run_all(folder, options.database_url, Path(scratch))
    sys.exit(0 if right else 1)


def run_all(folder: Path, url: str, var: Path) -> bool:
    """Run every client against one server; true when all reads back as expected."""
    right = True
    with database(url, var) as postmaster:
        manage("migrate", "-v0")
        manage("prices", "sync")
        password = var / "password"
        password.write_text(PASSWORD)
        words = ["--email", "live@example.com", "--password-file", str(password), "--project", "Live"]
        key = json.loads(manage("bootstrap", *words))["key"]
        with server(postmaster) as running, provider() as provider_address:
            project = Project(f"http://127.0.0.1:{running.port}", key)
            for name, package in CLIENTS.items():
                environment(folder / name, package)
                print(f"{name}: {versions(folder / name, package)}", flush=True)
                run_service(folder / name, name, project, provider_address)
                right &= compare(read_back(project, name))
    return right


if __name__ == "__main__":
    main()
