"""What the OpenAPI document promises, held against a server with requests that schemathesis makes up.

    python -m bench.contract --requests 5000

Prints how often each operation answered with which status, and what broke a promise; exit code 1 where something did.
"""

import argparse
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from hypothesis import strategies as st

from index.testing import HashingEncoder
from service.keys import KeyStore
from service.settings import Settings

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
# Stands in an article of a collection that the limited key is not for, and nowhere else.
SECRET = "zanzibarquux"
_HOST = "127.0.0.1"
_BODY_TYPES = ("text/plain", "text/markdown", "text/html", "application/pdf", "application/x-ndjson")


@dataclass
class Report:
    """What was asked, and what broke a promise.

    counts: of operation, media type of the body, and status.
    """

    counts: Counter[tuple[str, str, int]] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        return self.counts.total()


@contextmanager
def serving(folder: Path, articles: Sequence[Mapping[str, str]]) -> Iterator[str]:
    import uvicorn

    from service.app import create_app

    config = uvicorn.Config(
        create_app(Settings(data=folder, rate="off"), encoder=HashingEncoder()),
        host=_HOST, port=0, http="service.protocol:Protocol", ws="none", log_config=None, server_header=False, proxy_headers=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{_HOST}:{port}"
    finally:
        server.should_exit = True
        thread.join()


def plant(url):
    def ok(r):
        assert r.is_success, r.text
        return r
    with httpx.Client(base_url=url) as client:
        for path in sorted(SEEDS.glob("*.txt"))[:6]:
            ok(client.post("/articles", content=path.read_bytes(), params={"id": path.stem}, headers={"Content-Type": "text/plain"}))
        for v in ("The rocket rose at dawn. Nobody was hurt.", "The rocket rose at noon. Nobody was hurt.", "It fell."):
            ok(client.put("/articles/rocket", json={"text": v, "collection": "open"}))
        ok(client.put("/articles/https://example.org/a/b", json={"text": "Cheese is made in Holland. It is good.", "collection": "open"}))
        ok(client.put("/articles/gone", json={"text": "This will go."}))
        ok(client.delete("/articles/gone"))
        for n in range(2):
            ok(client.put("/articles/hidden", json={"text": f"The {SECRET} is kept in a cave. {n}.", "title": f"About {SECRET}", "collection": "closed"}))


def drive(url, *, headers, examples, seed, phases=("coverage", "fuzzing", "stateful"), report):
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    config = SchemathesisConfig.from_dict({
        "seed": seed, "base-url": url, "headers": dict(headers), "continue-on-failure": True,
        "generation": {"max-examples": examples, "deterministic": True, "database": "none"},
        "request-timeout": 30,
        "phases": {one: {"enabled": one in phases} for one in ("examples", "coverage", "fuzzing", "stateful")},
        "checks": {"positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "410", "503"]},
                   "negative_data_rejection": {"expected-statuses": ["400", "401", "403", "404", "405", "409", "410", "413", "414", "415", "422"]}},
    })
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            take(event.recorder, report)
        elif isinstance(event, events.NonFatalError):
            report.failures[f"{event.label} {event.value}"[:2000]] = ""


def take(recorder, report):
    for cid, node in recorder.cases.items():
        inter = recorder.interactions.get(cid)
        if inter is None: continue
        case = node.value
        report.counts[(case.operation.label, case.media_type or "", inter.response.status_code if inter.response else 0)] += 1
        for check in recorder.checks.get(cid, ()):
            if check.failure_info:
                f = check.failure_info.failure
                key = f"{case.operation.label} {case.media_type} {check.name} {inter.response.status_code}"
                report.failures.setdefault(key, "")
                report.failures[key] += f"{f.title}: {f.message[:500]}\n{check.failure_info.code_sample[:700]}\n{inter.response.content[:500]!r}\n\n"


def main():
    p = argparse.ArgumentParser(); p.add_argument("--requests", type=int, default=5000); p.add_argument("--examples", type=int, default=20)
    p.add_argument("--phases", default="coverage,fuzzing,stateful")
    a = p.parse_args()
    report = Report()
    with tempfile.TemporaryDirectory() as d, serving(Path(d), []) as url:
        plant(url)
        drive(url, headers={}, examples=a.examples, seed=1, phases=a.phases.split(","), report=report)
    table = Counter()
    for (op, mt, status), n in sorted(report.counts.items()):
        print(op, mt, status, n)
    for k, v in report.failures.items():
        print("####", k, v.count("\n\n")); print(v[:1800])
    print(report.requests, len(report.failures))

if __name__ == "__main__":
    main()
