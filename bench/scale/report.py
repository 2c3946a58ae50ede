"""Figures as Markdown for people and as JSON for programs; missed targets are called missed."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from bench.scale.figures import At
from bench.scale.load import Load
from bench.scale.peers.better import better
from bench.scale.peers.comparing import PeerFigures
from bench.scale.peers.rounds import Round
from bench.scale.quality import Hits
from bench.scale.serving import CLIENTS, Served
from bench.scale.targets import MB, Target
from bench.tables import render_markdown

NOTES = (
    "Vectors of generated passages are the normalised means of their sentences' real vectors, because encoding a "
    "million passages takes hours; questions, real articles and what is added with the real encoder are encoded by it. "
    "The load generator is a process of its own on the same cores as the server. Every question is asked once, but for "
    "those that are said to be repeated. Cold: the files of the corpus and the models were dropped from the page cache "
    "with posix_fadvise, where the system has it; Python's own files were not."
)


def render(figures: Mapping[int, At], rounds: Sequence[Round], checked: Sequence[Target]) -> str:
    """Return all of it as Markdown."""
    parts = [NOTES, _sizes(figures), *map(_round, rounds), _targets(checked)]
    return "\n\n".join(part for part in parts if part)


def _sizes(figures: Mapping[int, At]) -> str:
    if not figures:
        return ""
    columns = [dict(_rows(at)) for at in figures.values()]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, *(column.get(name, "–") for column in columns)) for name in names]
    return render_markdown(("passages", *(f"{size:,}" for size in figures)), rows)


def _rows(at: At) -> Iterator[tuple[str, str]]:
    yield "added per second, encoded by the real encoder", short(at.adding)
    yield "stored and indexed per second, without encoding", short(at.built.per_second)
    yield "tidied afterwards, s", short(at.built.tidying)
    for part, size in {**asdict(at.disk), "all": at.disk.total}.items():
        yield f"disk: {part}, MB", short(size / MB)
    for served in at.served:
        yield from _served_rows(served)
    yield "recall@50 of passages, against exact search", f"{at.recall:.4f}"
    hits = (("sentences", at.sentences), ("sentences, with the reader", at.read), ("passages", at.passages))
    for name, found in hits:
        yield f"{name}: hit@1 / @5 / @10 / MRR@10", _hits(found)


def _served_rows(served: Served) -> Iterator[tuple[str, str]]:
    where = str(served.setting)
    yield f"{where}: cold / warm start, s", f"{short(served.cold)} / {short(served.warm)}"
    for one in served.loads:
        name = f"{where}: {one.clients} client{'s' if one.clients > 1 else ''}"
        yield f"{name}, p50 / p95 / p99, ms", " / ".join(short(one.percentile(share)) for share in (50, 95, 99))
        yield f"{name}, asks per second", short(one.per_second)
        if one.errors:
            yield f"{name}, ERRORS", f"{one.errors}"
    yield f"{where}: repeated questions, p50, ms", short(served.repeated.percentile(50))
    yield f"{where}: citations not compared, p50, ms", short(served.plain.percentile(50))
    if served.memory:
        memory = served.memory
        sizes = (memory.resident, memory.proportional, memory.own)
        yield f"{where}: resident / proportional / own, MB", " / ".join(short(size / MB) for size in sizes)
    stages = served.load(1).stages
    yield f"{where}: stages, p50, ms", ", ".join(f"{stage} {short(value)}" for stage, value in stages.items())
    ceiling = served.ceiling
    yield (
        f"{where}: the load generator on /healthz, per second (cores it takes; while asking)",
        f"{short(ceiling.per_second)} ({ceiling.cores:.2f}; {served.load(16).cores:.2f})",
    )


def _round(one: Round) -> str:
    how = "each system encodes them" if one.encoded else "vectors handed in"
    clients = (f"asks/s, {count} client{'s' if count > 1 else ''}" for count in CLIENTS)
    header = ("system", "added/s", "p50 / p99, ms", *clients, "hit@1 / @5 / @10 / MRR@10", "resident, MB")
    rows = [row for system in one.systems for row in _system(system)]
    versions = (f"{system.name}: {system.notes}; {_versions(system)}" for system in one.systems if system.notes)
    failed = (f"{system.name} has no figures: {system.failed}" for system in one.systems if system.failed)
    lines = [f"- {line}" for line in (*dict.fromkeys(versions), *failed)]
    plainly = [f"- **{line}**" for line in better(one)] or ["- No peer is better at anything that was measured here."]
    title = f"**{one.passages:,} passages, {how}; top 10, taking turns**"
    return "\n\n".join([title, render_markdown(header, rows), "\n".join(plainly), "\n".join(lines)])


def _system(system: PeerFigures) -> Iterator[tuple[str, ...]]:
    if system.failed:
        return
    p50_p99 = f"{short(system.percentile(50))} / {short(system.percentile(99))}"
    rates = (short(system.rates.get(clients)) for clients in CLIENTS)
    memory = short(system.resident / MB)
    yield system.name, short(system.added), p50_p99, *rates, f"passages {_hits(system.passages)}", memory
    if system.sentences:
        yield f"{system.name}, by sentence", "", "", *("" for _ in CLIENTS), f"sentences {_hits(system.sentences)}", ""


def _versions(system: PeerFigures) -> str:
    return ", ".join(f"{package} {version}" for package, version in system.versions.items())


def _hits(hits: Hits | None) -> str:
    if hits is None:
        return "–"
    return " / ".join(f"{value:.3f}".removeprefix("0") for value in (hits.hit_1, hits.hit_5, hits.hit_10, hits.mrr_10))


def _targets(checked: Sequence[Target]) -> str:
    rows = [
        (
            target.claim,
            f"{'at least' if target.at_least else 'at most'} {target.limit:,g} {target.unit}".strip(),
            short(target.value),
            f"**{target.verdict}**" if target.verdict == "missed" else target.verdict,
        )
        for target in checked
    ]
    return render_markdown(("target", "wanted", "measured", ""), rows)


def short(value: float | None) -> str:
    """Return about three digits."""
    if value is None or math.isnan(value):
        return "–"
    size = abs(value)
    digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f}"


def as_json(figures: Mapping[int, At], rounds: Sequence[Round], checked: Sequence[Target]) -> dict[str, object]:
    """Return all figures; of many asks their percentiles."""
    return {
        "notes": NOTES,
        "sizes": {str(size): _at_json(at) for size, at in figures.items()},
        "comparisons": [_round_json(one) for one in rounds],
        "targets": [_target_json(target) for target in checked],
    }


def _target_json(target: Target) -> dict[str, object]:
    known = target.value is not None and math.isfinite(target.value)
    return {**asdict(target), "value": target.value if known else None, "verdict": target.verdict}


def _at_json(at: At) -> dict[str, object]:
    return {
        "built": asdict(at.built),
        "stored_per_second": at.built.per_second,
        "added_per_second": at.adding,
        "disk_bytes": {**asdict(at.disk), "all": at.disk.total},
        "served": [_served_json(served) for served in at.served],
        "recall_50": at.recall,
        "sentences": asdict(at.sentences),
        "sentences_read": asdict(at.read),
        "passages": asdict(at.passages),
    }


def _served_json(served: Served) -> dict[str, object]:
    loads = {"repeated": served.repeated, "plain": served.plain, "ceiling": served.ceiling}
    return {
        "setting": asdict(served.setting),
        "cold_s": served.cold,
        "warm_s": served.warm,
        "evicted": served.evicted,
        "memory_bytes": asdict(served.memory) if served.memory else None,
        "loads": [_load_json(load) for load in served.loads],
        **{name: _load_json(load) for name, load in loads.items()},
    }


def _load_json(load: Load) -> dict[str, object]:
    return {
        "clients": load.clients,
        "asks": len(load.milliseconds),
        "errors": load.errors,
        "per_second": load.per_second,
        **{f"p{share}_ms": load.percentile(share) if load.milliseconds else None for share in (50, 95, 99)},
        "cores_of_the_generator": load.cores,
        "stages_p50_ms": load.stages,
    }


def _round_json(one: Round) -> dict[str, object]:
    systems = [
        {
            **{key: value for key, value in asdict(system).items() if key != "milliseconds"},
            "p50_ms": system.percentile(50) if system.milliseconds else None,
            "p99_ms": system.percentile(99) if system.milliseconds else None,
        }
        for system in one.systems
    ]
    plainly = better(one)
    return {"passages": one.passages, "encoded_by_each": one.encoded, "systems": systems, "peers_are_better": plainly}
