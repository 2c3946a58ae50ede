"""What the OpenAPI document promises, held against a server: `python -m bench.contract --requests 5000`.

schemathesis makes up requests for every operation of the document: valid ones and broken ones, single ones and chains
of them. They go to a real server on this machine, first without keys, then from callers with none, with a key that may
ask, and with a key for one collection, while another collection holds a word that no answer to them may hold.

Prints how often each operation answered with which status, and whatever broke a promise; then the exit code is 1.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import unquote, urlsplit

import httpx
from hypothesis import strategies as st

from index.testing import HashingEncoder
from service.keys import KeyStore
from service.problems import MEDIA_TYPE, OPENAI
from service.settings import Settings

if TYPE_CHECKING:
    from schemathesis import Case, Response
    from schemathesis.engine.recorder import ScenarioRecorder

SEEDS = Path(__file__).resolve().parent.parent / "seeds"
# Stands in an article of a collection that neither a caller without a key nor the limited key is for.
HIDDEN = "zanzibarquux"
# The callers: on this machine without keys; then, where there are keys, with none, one that may ask, and one that may
# do all in the collection `open`.
Caller = Literal["everyone", "nobody", "asker", "limited"]
CALLERS: tuple[Caller, ...] = ("everyone", "nobody", "asker", "limited")
Phase = Literal["coverage", "fuzzing", "stateful"]
PHASES: tuple[Phase, ...] = ("coverage", "fuzzing", "stateful")

_HOST = "127.0.0.1"
# No request takes as long, in seconds.
_PATIENCE = 30
# Problems that no schema can foresee: what a file holds, what is at an address, days in the wrong order.
_BEYOND_SCHEMA = frozenset({"Not an article", "Cannot be fetched", "Not a filter"})


@dataclass
class Report:
    """What was asked, how it was answered, and what broke a promise.

    counts: by caller, operation with the media type of its body, and status. failures: an example by kind.
    """

    counts: Counter[tuple[Caller, str, int]] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        """How many requests were answered."""
        return self.counts.total()

    def fail(self, kind: str, example: str) -> None:
        """Note a broken promise; one example of each kind is enough."""
        self.failures.setdefault(kind, example)

    def never_succeeded(self) -> list[str]:
        """Return the operations that not one valid request reached: what they promise was not tested."""
        labels = {label for caller, label, _ in self.counts if caller == "everyone"}
        good = {label for caller, label, status in self.counts if caller == "everyone" and status < 300}
        return sorted(label for label in labels - good if not label.endswith("no body"))


def main() -> int:
    """Run from the command line; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.contract", description="Test what the OpenAPI document says."
    )
    parser.add_argument("--requests", type=int, default=5000, help="requests at least")
    parser.add_argument("--examples", type=int, default=40, help="of each kind, for each operation, in one round")
    parser.add_argument("--seed", type=int, default=1, help="what the requests are made up from")
    arguments = parser.parse_args()
    started = time.perf_counter()
    report = Report()
    for seed in count(arguments.seed):
        # The first round goes through all the bounds of the document; they are the same in each.
        phases = PHASES if seed == arguments.seed else PHASES[1:]
        run(report, CALLERS, phases=phases, examples=arguments.examples, seed=seed)
        if report.requests >= arguments.requests or report.failures:
            break
    for label in report.never_succeeded():
        report.fail(f"{label}: never succeeded", "")
    print(_table(report))
    print(f"{report.requests:,} requests in {time.perf_counter() - started:.0f} s")
    for kind, example in report.failures.items():
        print(f"\nBROKEN {kind}\n{example}")
    return 1 if report.failures else 0


def run(report: Report, callers: Iterable[Caller], *, phases: Sequence[Phase], examples: int, seed: int) -> None:
    """Let each caller send requests to a server of their own, and add what became of them to the report."""
    for caller in callers:
        with tempfile.TemporaryDirectory(prefix="quoteline-contract-") as folder:
            settings = Settings(data=Path(folder), rate="off")
            with serving(settings) as url:
                _plant(url)
                _drive(url, caller, _headers(settings, caller), report, phases=phases, examples=examples, seed=seed)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve in a thread of this process, as `quoteline serve` does but with a fake encoder; yield the URL."""
    import uvicorn

    from service.app import create_app

    server = uvicorn.Server(
        uvicorn.Config(
            create_app(settings, encoder=HashingEncoder()),
            host=_HOST,
            port=0,
            http="service.protocol:Protocol",
            ws="none",
            log_config=None,
            log_level="error",
            server_header=False,
            proxy_headers=False,
        )
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            if not thread.is_alive():
                raise RuntimeError("the server ended before it had started")
            time.sleep(0.01)
        yield f"http://{_HOST}:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


def _plant(url: str) -> None:
    """Add the seeds, articles with several versions and with slashes in their ids, one that is gone, and a secret."""
    rocket = ("The rocket rose at dawn. Nobody was hurt.", "The rocket rose at noon. Nobody was hurt.", "It fell.")
    with httpx.Client(base_url=url) as client:
        for path in sorted(SEEDS.glob("*.txt")):
            _planted(client.put(f"/articles/{path.stem}", content=path.read_bytes(), headers=_type("text/plain")))
        for text in rocket:
            _planted(client.put("/articles/rocket", json={"text": text, "collection": "open"}))
        cheese = {"text": "Cheese is made in Holland.", "collection": "open"}
        _planted(client.put("/articles/https%3A%2F%2Fexample.org%2Fcheese%2Ftext", json=cheese))
        _planted(client.put("/articles/gone", json={"text": "This will go."}))
        _planted(client.delete("/articles/gone"))
        for number in (1, 2):
            hidden = {"text": f"The {HIDDEN} is in cave {number}.", "title": HIDDEN, "source": HIDDEN}
            _planted(client.put("/articles/hidden", json={**hidden, "collection": "closed"}))


def _planted(response: httpx.Response) -> None:
    if not response.is_success:
        raise RuntimeError(f"{response.request.method} {response.request.url} answered {response.text}")


def _type(media_type: str) -> dict[str, str]:
    return {"Content-Type": media_type}


def _headers(settings: Settings, caller: Caller) -> dict[str, str]:
    """Return what the caller sends with every request; makes keys where there are to be some."""
    if caller == "everyone":
        return {}
    keys = KeyStore(settings.keys_file)
    _, asker = keys.create("asker", ["ask"])
    _, limited = keys.create("limited", ["ask", "manage"], ["open"])
    tokens = {"asker": asker, "limited": limited}
    return {"Authorization": f"Bearer {tokens[caller]}"} if caller in tokens else {}


def _drive(
    url: str,
    caller: Caller,
    headers: Mapping[str, str],
    report: Report,
    *,
    phases: Sequence[Phase],
    examples: int,
    seed: int,
) -> None:
    import schemathesis
    from schemathesis.engine import events, from_schema

    _teach_media_types()
    config = schemathesis.Config.from_dict(
        {
            "seed": seed,
            "base-url": url,
            "headers": dict(headers),
            "continue-on-failure": True,
            "request-timeout": _PATIENCE,
            "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
            "cache": {"enabled": False},
            "output": {"sanitization": {"enabled": False}, "truncation": {"max-recorded-payload-size": 2**30}},
            "phases": {name: {"enabled": name in phases} for name in ("examples", *PHASES)},
            "checks": {
                # An id that is made up is of no article, or of one that is gone.
                "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "410"]},
                # A server error is never the right answer, not even to nonsense.
                "negative_data_rejection": {"expected-statuses": ["4xx"]},
                # That a key may be left out depends on who asks; the callers see to that.
                "ignored_auth": {"enabled": False},
            },
        }
    )
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json", config=config)
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            _take(caller, event.recorder, report)
        elif isinstance(event, events.NonFatalError):
            report.fail(f"{event.label}: {type(event.value).__name__}", str(event.value)[:2000])


@cache
def _teach_media_types() -> None:
    """Let schemathesis send files that hold something. It knows such strategies only for the whole process."""
    import schemathesis

    words = st.lists(st.sampled_from(["the", "rocket", "rose", "café", "🚀", "1.5", "Dr."]), min_size=1, max_size=12)
    sentences = words.map(lambda some: f"{' '.join(some).capitalize()} today.")
    pages = sentences.map(lambda text: f"<html><body><article><p>{text}</p></article></body></html>".encode())
    texts = sentences.map(str.encode)
    pdfs = st.sampled_from(["The rocket rose.", "It fell.", "Cheese is made in Holland."]).map(pdf)
    record = st.fixed_dictionaries({"text": sentences}, optional={"id": st.sampled_from(["a", "b/c"])})
    lines = st.lists(record.map(json.dumps) | st.just("no JSON"), min_size=1, max_size=5)
    schemathesis.openapi.format("binary", texts | pages | pdfs)
    schemathesis.openapi.media_type("text/html", pages)
    schemathesis.openapi.media_type("application/pdf", pdfs)
    schemathesis.openapi.media_type("application/x-ndjson", lines.map("\n".join).map(str.encode))


def pdf(text: str) -> bytes:
    """Return a PDF of one page with one line of ASCII."""
    drawn = f"BT /F1 12 Tf 72 720 Td ({text}) Tj ET"
    objects = (
        "<</Type/Catalog/Pages 2 0 R>>",
        "<</Type/Pages/Kids[3 0 R]/Count 1>>",
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>",
        f"<</Length {len(drawn)}>>stream\n{drawn}\nendstream",
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
    )
    body = "".join(f"{number} 0 obj{content}endobj\n" for number, content in enumerate(objects, start=1))
    # Without a table of where the objects are: readers rebuild it.
    return f"%PDF-1.4\n{body}trailer<</Root 1 0 R/Size {len(objects) + 1}>>\n%%EOF\n".encode()


def _take(caller: Caller, recorder: "ScenarioRecorder", report: Report) -> None:
    """Count the requests of a scenario, and note the promises that were broken."""
    for case_id, node in recorder.cases.items():
        interaction, case = recorder.interactions.get(case_id), node.value
        if interaction is None:
            continue
        label = _label(case)
        response = interaction.response
        if response is None:
            report.fail(f"{caller}, {label}: no response", interaction.request.uri)
            continue
        report.counts[caller, label, response.status_code] += 1
        where = f"{caller}, {label}, {response.status_code}"
        if broken := _broken(caller, response):
            report.fail(f"{where}: {broken}", f"{interaction.request.uri[:1000]}\n{response.content[:1000]!r}")
        for check in recorder.checks.get(case_id, ()):
            found = check.failure_info
            if found is not None and not _is_excused(caller, check.name, case, response):
                said = f"{found.failure.message[:500]}\n{found.code_sample[:1000]}\n{response.content[:1000]!r}"
                report.fail(f"{where}: {check.name}", said)


def _label(case: "Case[Any]") -> str:
    has_body = bool(case.operation.body)
    return f"{case.operation.label} {case.media_type or 'no body'}" if has_body else str(case.operation.label)


def _broken(caller: Caller, response: "Response") -> str | None:
    """Return what is wrong with a response whatever was asked."""
    if response.status_code >= 500:
        return "a fault of the server"
    if caller in ("nobody", "limited") and HIDDEN.encode() in response.content:
        return "tells what is in another collection"
    if response.status_code < 400:
        return None
    for_openai = urlsplit(response.request.url or "").path.startswith(OPENAI)
    if response.headers.get("content-type") != ["application/json" if for_openai else MEDIA_TYPE]:
        return "an error that is no problem document"
    problem = json.loads(response.content)
    if for_openai:
        told = problem["error"]
        return (
            None if told["message"] and told["type"] else "an error of OpenAI's shape that does not say what happened"
        )
    if problem["status"] != response.status_code or not problem["title"] or not problem["detail"]:
        return "a problem document that does not say what happened"
    return None


def _is_excused(caller: Caller, check: str, case: "Case[Any]", response: "Response") -> bool:
    """Whether no fault of the server, nor of the document, made a check fail."""
    if check == "positive_data_acceptance":
        told = json.loads(response.content)
        beyond = response.status_code == 422 and told.get("title") in _BEYOND_SCHEMA
        # Nobody asks in the conversation, or without a word.
        beyond |= response.status_code == 400 and told.get("error", {}).get("code") == "invalid_question"
        return beyond or _is_longer_than_any(response) or _is_unprintable(case)
    if check == "negative_data_rejection":
        # In a chain of requests schemathesis takes some forms for broken that it says it left whole.
        whole = case.meta is not None and case.meta.phase.data.description == "Positive test case"
        return whole or (_only_body_is_broken(case) and _becomes_text(case))
    if check == "unsupported_method":
        # Where there are keys, a method that no route takes needs one, too.
        return caller != "everyone" and response.status_code in (401, 403)
    # Refused before any operation could be chosen.
    return check == "status_code_conformance" and _is_longer_than_any(response)


def _is_longer_than_any(response: "Response") -> bool:
    """Whether a head was too long: what may be repeated a thousand times need not fit in an address."""
    return response.status_code in (414, 431)


def _only_body_is_broken(case: "Case[Any]") -> bool:
    meta = case.meta
    return meta is not None and [where.name for where, one in meta.components.items() if one.mode.is_negative] == [
        "BODY"
    ]


def _becomes_text(case: "Case[Any]") -> bool:
    """Whether a body of the wrong type is one of the right type by the time that it is sent."""
    fields = case.body.values() if isinstance(case.body, Mapping) else ()
    in_form = case.media_type == "multipart/form-data" and not all(isinstance(one, str | bytes) for one in fields)
    return in_form or (case.media_type or "").startswith("text/")


def _is_unprintable(case: "Case[Any]") -> bool:
    r"""Whether a request that passes for valid holds what the document forbids: to schemathesis `\p{C}` is `\p{Cc}`."""
    sent = _letters([case.path_parameters, case.query, case.body])
    return any(unicodedata.category(c) in ("Cf", "Cn", "Co", "Cs") for c in sent)


def _letters(value: Any) -> Iterator[str]:  # noqa: ANN401 - whatever schemathesis makes up
    if isinstance(value, str):
        # Path parameters are ready for the address.
        yield from unquote(value)
    elif isinstance(value, Mapping):
        yield from _letters(list(value.items()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _letters(one)


def _table(report: Report) -> str:
    """Return how often each operation answered with which status, over all callers and for each."""
    labels = sorted({label for _, label, _ in report.counts})
    width = max(map(len, labels))
    rows = [f"{'':{width}}  {'all':>6}  statuses"]
    for label in labels:
        statuses: Counter[int] = Counter()
        for (_, one, status), number in report.counts.items():
            statuses[status] += number if one == label else 0
        shown = "  ".join(f"{status}: {number}" for status, number in sorted(statuses.items()) if number)
        rows.append(f"{label:{width}}  {statuses.total():6,}  {shown}")
    callers: Counter[Caller] = Counter()
    for (caller, _, _), number in report.counts.items():
        callers[caller] += number
    return "\n".join([*rows, ", ".join(f"{caller}: {number:,}" for caller, number in callers.items())])


if __name__ == "__main__":
    sys.exit(main())
