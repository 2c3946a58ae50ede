"""How each figure grows with the size of a corpus, as pictures."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.scale.figures import At
from bench.scale.peers.rounds import Round
from bench.scale.serving import CLIENTS, SETTINGS, Served, Setting
from bench.scale.targets import MB

# Every other line is dashed, so that two that are the same can be told.
STYLES = ("-", "--")
Line = tuple[str, Callable[[At], float | None]]


def draw(figures: Mapping[int, At], rounds: Sequence[Round], folder: Path) -> list[Path]:
    """Draw growth.png and peers.png, as far as there is something to draw; return what was drawn.

    Nothing is where matplotlib is not installed.
    """
    try:
        import matplotlib as mpl
    except ImportError:
        return []
    mpl.use("Agg")
    drawn = []
    if figures:
        drawn.append(_growth(list(figures.values()), folder / "growth.png"))
    if any(one.systems for one in rounds):
        drawn.append(_peers(rounds, folder / "peers.png"))
    return drawn


def _growth(measured: Sequence[At], path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 3, figsize=(17, 14), layout="constrained")
    for place, (title, unit, lines, logarithmic) in zip(axes.flat, _panels(), strict=False):
        _panel(place, measured, title, unit, lines, logarithmic=logarithmic)
    figure.suptitle("Quoteline, by the number of passages (articles of random real sentences)", fontsize=14)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _panels() -> list[tuple[str, str, list[Line], bool]]:
    alone, crowd, starts, memory = [], [], [], []
    for setting in SETTINGS:
        name = f"{'reader' if setting.reader else 'no reader'}, {setting.workers} worker{'s'[: setting.workers - 1]}"
        if setting.workers == 1:
            alone += [(f"{name}, p{share}", _percentile(setting, 1, share)) for share in (50, 99)]
            starts.append((f"{name}, cold", _of(setting, lambda one: one.cold)))
            starts.append((f"{name}, warm", _of(setting, lambda one: one.warm)))
        crowd.append((f"{name}, p99", _percentile(setting, 16, 99)))
        memory.append((name, _of(setting, lambda one: one.memory.proportional / MB if one.memory else None)))
    plain = Setting(reader=False, workers=1)
    return [
        ("Ask, 1 client", "ms", alone, True),
        ("Ask, 16 clients", "ms", crowd, True),
        ("Asks per second, no reader, 1 worker", "", _rates(plain), False),
        ("Asks per second, no reader, 2 workers", "", _rates(Setting(reader=False, workers=2)), False),
        ("Memory of all processes, shared counted once", "MB", memory, False),
        ("Disk", "MB", [(part, _disk(part)) for part in ("total", "database", "lexical", "vectors")], True),
        ("First answer", "s", starts, False),
        (
            "Passages per second",
            "",
            [
                ("added, with the real encoder", lambda at: at.adding),
                ("without encoding", lambda at: at.built.per_second),
            ],
            True,
        ),
        (
            "Quality",
            "",
            [
                ("recall@50 of the vector search", lambda at: at.recall),
                ("sentence hit@1", lambda at: at.sentences.hit_1),
                ("sentence hit@10", lambda at: at.sentences.hit_10),
                ("sentence hit@1, with the reader", lambda at: at.read.hit_1),
                ("passage hit@10", lambda at: at.passages.hit_10),
            ],
            False,
        ),
    ]


def _of(setting: Setting, value: Callable[[Served], float | None]) -> Callable[[At], float | None]:
    def of(at: At) -> float | None:
        served = at.served_as(reader=setting.reader, workers=setting.workers)
        return value(served) if served else None

    return of


def _rates(setting: Setting) -> list[Line]:
    return [(f"{clients} client{'s' if clients > 1 else ''}", _per_second(setting, clients)) for clients in CLIENTS]


def _percentile(setting: Setting, clients: int, share: float) -> Callable[[At], float | None]:
    return _of(setting, lambda served: served.load(clients).percentile(share))


def _per_second(setting: Setting, clients: int) -> Callable[[At], float | None]:
    return _of(setting, lambda served: served.load(clients).per_second)


def _disk(part: str) -> Callable[[At], float]:
    return lambda at: getattr(at.disk, part) / MB


def _panel(
    axes: Any,  # noqa: ANN401 - matplotlib's types are its own
    measured: Sequence[At],
    title: str,
    unit: str,
    lines: Sequence[Line],
    *,
    logarithmic: bool,
) -> None:
    from matplotlib.ticker import LogFormatter

    for number, (name, value) in enumerate(lines):
        points = [(at.size, value(at)) for at in measured]
        known = [(size, one) for size, one in points if one is not None]
        if known:
            axes.plot(*zip(*known, strict=True), marker="o", markersize=4, linestyle=STYLES[number % 2], label=name)
    axes.set_xscale("log")
    axes.set_yscale("log" if logarithmic else "linear")
    if logarithmic:
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")
        axes.yaxis.set_minor_formatter(LogFormatter(labelOnlyBase=False, minor_thresholds=(2, 0.5)))
    else:
        axes.set_ylim(bottom=0)
    axes.set_title(title, fontsize=11)
    axes.set_xlabel("passages")
    axes.set_ylabel(unit)
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(fontsize=8)


def _peers(rounds: Sequence[Round], path: Path) -> Path:
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(rounds), 3, figsize=(16, 3.6 * len(rounds)), layout="constrained", squeeze=False)
    for row, one in zip(axes, rounds, strict=True):
        systems = [system for system in one.systems if not system.failed]
        names = [system.name for system in systems][::-1]
        shown = (
            ("asks per second, best number of clients", [system.best_rate for system in systems]),
            ("passages added per second", [system.added or 0.0 for system in systems]),
            ("passage hit@1", [system.passages.hit_1 if system.passages else 0.0 for system in systems]),
        )
        for place, (title, values) in zip(row, shown, strict=True):
            colours = ["tab:blue" if name.startswith("Quoteline") else "tab:gray" for name in names]
            bars = place.barh(names, values[::-1], color=colours)
            place.bar_label(bars, fmt=lambda value: f"{value:,.2f}" if value < 2 else f"{value:,.0f}", padding=3)
            place.margins(x=0.15)
            place.set_title(f"{one.passages:,} passages: {title}", fontsize=10)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path
