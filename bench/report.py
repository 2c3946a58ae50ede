"""Figures as a table for people and as JSON for programs, with the machine and the versions that they belong to."""

import os
import platform
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_PACKAGES = (
    "quoteline",
    "openvino",
    "scikit-learn",
    "tokenizers",
    "faiss-cpu",
    "tantivy",
    "nupunkt",
    "numpy",
    "fastapi",
    "uvicorn",
    "sentence-transformers",
    "transformers",
    "torch",
)
# What decides how fast a processor encodes.
_FEATURES = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "amx_bf16")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of both. None where there is none, such as the passages of a system that has no passages."""

    name: str
    unit: str
    ours: float | None
    baseline: float | None
    more_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """How many times better ours is; below 1 where it is worse."""
        if not self.ours or not self.baseline:
            return None
        return self.ours / self.baseline if self.more_is_better else self.baseline / self.ours


def render_table(figures: Sequence[Figure]) -> str:
    """Return the figures as a table; the last column says how many times better ours is."""
    rows = [("", "ours", "baseline", "times better"), *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(figure: Figure) -> tuple[str, str, str, str]:
    name = f"{figure.name}, {figure.unit}" if figure.unit else figure.name
    return name, _short(figure.ours), _short(figure.baseline), _short(figure.ratio)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    name, *values = row
    return "  ".join([name.ljust(widths[0]), *map(str.rjust, values, widths[1:])]).rstrip()


def _short(value: float | None) -> str:
    """Return about three digits, and no more than a rate or a time deserves."""
    if value is None:
        return "-"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{digits}f}"


def figures_as_json(figures: Sequence[Figure]) -> dict[str, object]:
    """Return the figures by name."""
    return {
        figure.name: {
            "unit": figure.unit,
            "ours": _rounded(figure.ours),
            "baseline": _rounded(figure.baseline),
            "times_better": _rounded(figure.ratio),
        }
        for figure in figures
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def describe_machine() -> dict[str, object]:
    """Return processor, cores, memory and operating system, as far as the system tells."""
    facts = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((fact.partition(":")[2].strip() for fact in facts if fact.startswith("model name")), "")
    flags = next((fact.split() for fact in facts if fact.startswith("flags")), [])
    return {
        "processor": model or platform.processor(),
        "features": [feature for feature in _FEATURES if feature in flags],
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9, 1),
        "system": platform.platform(),
    }


def describe_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the figures depend on, where they are installed."""
    return {"python": platform.python_version(), **dict(_installed())}


def _installed() -> Iterator[tuple[str, str]]:
    for package in _PACKAGES:
        try:
            yield package, version(package)
        except PackageNotFoundError:
            continue


def describe_revision() -> str | None:
    """Return the commit that is checked out, with `-dirty` where files were changed; None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    command = [git, "-C", str(Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    described = subprocess.run(command, capture_output=True, text=True, check=False)
    return described.stdout.strip() or None
