from pathlib import Path

import pytest

from index.errors import InputError
from service.cli import _settings, serve
from service.settings import Settings

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_stands_in_the_readme_and_is_a_flag(name: str) -> None:
    assert f"`QUOTELINE_{name.upper()}`" in README
    assert f"--{name.replace('_', '-')}" in {flag for option in serve.params for flag in option.opts}


def test_a_flag_wins_over_the_environment_and_that_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _settings().port == 8000
    monkeypatch.setenv("QUOTELINE_PORT", "8001")
    assert _settings().port == 8001
    assert _settings(port="8002").port == 8002


def test_a_wrong_setting_is_named() -> None:
    with pytest.raises(InputError, match="QUOTELINE_PORT"):
        _settings(port="eighty")
