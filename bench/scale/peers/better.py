"""Where a peer is better than Quoteline, said plainly."""

from collections.abc import Iterator

from bench.scale.peers.comparing import PeerFigures
from bench.scale.peers.rounds import HTTP, LIBRARY, Round

MB = 1e6


def better(one: Round) -> list[str]:
    """Return a line for each figure in which a peer is better, with both values; asks are ours over HTTP."""
    return [
        f"{peer.name} is better at {name}: {theirs:,.3g} against {ours:,.3g}"
        for peer in one.peers
        for name, ours, theirs, more_is_better in _pairs(one.ours(HTTP), one.ours(LIBRARY), peer)
        if (theirs > ours if more_is_better else theirs < ours)
    ]


def _pairs(http: PeerFigures, library: PeerFigures, peer: PeerFigures) -> Iterator[tuple[str, float, float, bool]]:
    """Yield name, ours, theirs, and whether more is better, of all that both have."""
    yield "the time of one ask, p50, ms", http.percentile(50), peer.percentile(50), False
    yield "the time of one ask, p99, ms", http.percentile(99), peer.percentile(99), False
    yield "asks per second", http.best_rate, peer.best_rate, True
    if library.added and peer.added:
        yield "passages added per second", library.added, peer.added, True
    yield "resident memory, MB", http.resident / MB, peer.resident / MB, False
    if library.passages and peer.passages:
        for field in ("hit_1", "hit_5", "hit_10", "mrr_10"):
            name = f"{field.replace('_', '@').replace('mrr', 'MRR')} of passages"
            yield name, getattr(library.passages, field), getattr(peer.passages, field), True
