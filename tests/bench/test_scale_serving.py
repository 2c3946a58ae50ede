import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.scale.plots import draw
from bench.scale.serving import Setting, environment, evict, family, memory_of

LINUX = pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="the system has no such file")


@LINUX
def test_all_processes_of_a_server_are_its_family() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = family(process.pid)
        assert len(found) == 2
        alone, both = memory_of(found[:1]), memory_of(found)
        assert alone is not None
        assert both is not None
        assert both.resident > alone.resident >= alone.proportional >= alone.own > 0
        process.communicate(b"\n")


@LINUX
def test_a_process_that_ended_takes_no_memory() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        memory = memory_of([process.pid])
    assert memory is not None
    assert memory.resident == 0


def test_files_are_still_what_they_were_when_the_system_forgot_them(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_bytes(b"content" * 10_000)
    assert evict(tmp_path) == hasattr(os, "posix_fadvise")
    assert (tmp_path / "folder" / "file").read_bytes() == b"content" * 10_000


def test_settings_of_the_caller_do_not_reach_a_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("QUOTELINE_READ", "9")
    monkeypatch.setenv("QUOTELINE_READER", "something")
    told = environment(tmp_path, Setting(reader=False, workers=2))
    assert {name: value for name, value in told.items() if name.startswith("QUOTELINE_")} == {
        "QUOTELINE_MODELS": str(tmp_path.resolve()),
        "QUOTELINE_MODEL": "all-MiniLM-L6-v2",
        "QUOTELINE_READER": "none",
        "QUOTELINE_WORKERS": "2",
    }


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    assert draw({}, [], tmp_path) == []
