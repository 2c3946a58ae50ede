import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from index import entailment, reading, shipped
from index.encoding import DEFAULT_MODEL
from index.errors import ReaderError, WeightsError
from index.shipped import Kind, Prepared, Shipped, store
from index.torch_encoder import DEFAULT_SHA256, default_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

model = pytest.mark.model
KINDS = [reading.KIND, entailment.KIND]
kinds = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.noun)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """A folder of weights of either kind, which nobody can merge, as what they say is checked before that."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for kind in KINDS:
        (folder / kind.weights).write_bytes(b"weights")
        told = {
            "name": f"quoteline-{kind.noun}-1",
            "base": DEFAULT_MODEL,
            "base_sha256": DEFAULT_SHA256["model.safetensors"],
            "sha256": {kind.weights: hashlib.sha256(b"weights").hexdigest()},
            "seed": 4,
        }
        (folder / kind.manifest).write_text(json.dumps(told), encoding="utf-8")
    return folder


def refuse(*_: object) -> Any:  # noqa: ANN401 - in place of what is of one type or another
    raise AssertionError("a network was made of what is not to be trusted")


@kinds
@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"name": "x"}', b"\xff"])
def test_a_damaged_manifest_is_refused_by_name(tmp_path: Path, kind: Kind, content: bytes) -> None:
    (tmp_path / kind.manifest).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{kind.noun}\.json cannot be read; remove .* prepared again"):
        Prepared.of(kind, tmp_path)
    with pytest.raises(WeightsError, match=rf"{kind.noun}\.json cannot be read; install"):
        Shipped.of(kind, tmp_path)


def changed(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"sha256": dict.fromkeys(told["sha256"], "0" * 64)}


def other_base(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"base_sha256": "0" * 64}


def unnamed(told: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in told.items() if key != "base"}


def without_weights(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"sha256": {}}


@kinds
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (changed, r"\.safetensors is not the file.*install Quoteline again"),
        (other_base, "trained from other weights"),
        (unnamed, r"\.json cannot be read"),
        (without_weights, r"\.json cannot be read"),
    ],
)
def test_weights_that_are_not_those_that_were_shipped_are_refused(
    weights: Path, tmp_path: Path, kind: Kind, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    told = json.loads((weights / kind.manifest).read_text(encoding="utf-8"))
    (weights / kind.manifest).write_text(json.dumps(change(told)), encoding="utf-8")
    with pytest.raises(WeightsError, match=message):
        Shipped.of(kind, weights).prepared(tmp_path / "models", refuse, refuse)
    assert not list(tmp_path.glob("models/*"))


@kinds
def test_without_torch_what_is_not_prepared_is_refused_with_the_way_out(
    weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind
) -> None:
    monkeypatch.setattr(shipped, "find_spec", lambda _: None)
    with pytest.raises(kind.error, match=rf"{kind.called} is not prepared.*quoteline prepare.*{kind.setting}=none"):
        Shipped.of(kind, weights).prepared(tmp_path / "models", refuse, refuse)


@model
def test_what_was_prepared_in_another_format_is_prepared_again(weights: Path, tmp_path: Path) -> None:
    kind = reading.KIND
    mine = Shipped.of(kind, weights)
    folder = tmp_path / f"{kind.noun}-{mine.digest[:12]}"
    folder.mkdir()
    told = {"name": "former", "model": DEFAULT_MODEL, "weights": mine.digest, "sha256": {}}
    (folder / kind.manifest).write_text(json.dumps(told | {"format": shipped.FORMAT}), encoding="utf-8")
    assert mine.prepared(tmp_path, refuse, refuse) == folder
    for former in (told, told | {"format": shipped.FORMAT - 1}):
        (folder / kind.manifest).write_text(json.dumps(former), encoding="utf-8")
        with pytest.raises(AssertionError, match="a network was made"):
            mine.prepared(tmp_path, refuse, refuse)


@pytest.fixture(scope="module")
def network() -> "tuple[nn.Module, list[Tensor]]":
    import torch

    return torch.nn.Linear(3, 2), [torch.ones(1, 3)]


def put(kind: Kind, network: "tuple[nn.Module, list[Tensor]]", folder: Path) -> None:
    tokenizer = default_weights() / "tokenizer.json"
    store(kind, *network, tokenizer, folder, name="tiny-1", model="tiny", weights="0" * 64)


@model
@pytest.mark.parametrize("name", ["model.bin", "model.xml", "tokenizer.json"])
def test_a_prepared_file_that_was_changed_is_refused_by_name(
    network: "tuple[nn.Module, list[Tensor]]", tmp_path: Path, name: str
) -> None:
    folder = tmp_path / "models" / "entailment-tiny"
    put(entailment.KIND, network, folder)
    assert Prepared.of(entailment.KIND, folder).name == "tiny-1"
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(WeightsError, match=rf"{name} is not the file.*remove .* prepared again"):
        Prepared.of(entailment.KIND, folder)
    (folder / name).unlink()
    with pytest.raises(WeightsError, match=rf"{name} is missing"):
        Prepared.of(entailment.KIND, folder)


@model
def test_what_is_prepared_is_not_prepared_again(
    network: "tuple[nn.Module, list[Tensor]]", weights: Path, tmp_path: Path
) -> None:
    found = Shipped.of(reading.KIND, weights)
    folder = tmp_path / f"reader-{found.digest[:12]}"
    put(reading.KIND, network, folder)
    assert found.prepared(tmp_path, refuse, refuse) == folder


@model
def test_storing_is_whole_or_not_at_all(
    network: "tuple[nn.Module, list[Tensor]]", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, __: object, path: Path) -> None:
        path.write_text("half of")
        raise OSError("no space left")

    monkeypatch.setattr(shipped, "convert", broken)
    with pytest.raises(ReaderError, match="cannot be converted"):
        put(reading.KIND, network, tmp_path / "models" / "reader")
    assert list((tmp_path / "models").iterdir()) == []
    (tmp_path / "file").write_text("not a folder", encoding="utf-8")
    with pytest.raises(ReaderError, match="QUOTELINE_MODELS"):
        put(reading.KIND, network, tmp_path / "file" / "reader")
