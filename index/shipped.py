"""Our own models: shipped as what training changed in the public weights, prepared once to run without torch.

What is shipped of a model `x` are `x.safetensors` and `x.json`, which says what it is; where it is prepared, in
`x-<digest>` of the models' folder, a manifest of the same name holds the sha256 of all other files. What is specific to
a model, such as its network, its callers bring along.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from index.encoding import DEFAULT_MODEL
from index.errors import EncoderError, ReaderError, WeightsError
from index.packing import merge
from index.prepared import check_files, is_outdated, new_folder, sha256_of_files
from index.runtime import convert
from index.torch_encoder import DEFAULT_SHA256, default_weights, silence_transformers

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

Network = TypeVar("Network", bound="nn.Module")

# What a prepared folder holds; one of another format is prepared again.
FORMAT = 2


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of model of ours.

    noun: what its files and its setting are named by. called: how messages speak of it. error: what is raised where it
    cannot be had.
    """

    noun: str
    called: str
    error: type[EncoderError | ReaderError]

    @property
    def manifest(self) -> str:
        """The name of the file that says what a model is."""
        return f"{self.noun}.json"

    @property
    def weights(self) -> str:
        """The name of the file of the shipped weights."""
        return f"{self.noun}.safetensors"

    @property
    def setting(self) -> str:
        """The variable that chooses the model."""
        return f"QUOTELINE_{self.noun.upper()}"


@dataclass(frozen=True, slots=True)
class Shipped:
    """Trained weights in `folder`, as their manifest tells. sha256: of the folder's other files, by name."""

    kind: Kind
    folder: Path
    name: str
    base: str
    base_sha256: str
    sha256: dict[str, str]

    @classmethod
    def of(cls, kind: Kind, folder: Path) -> "Shipped":
        """Read the manifest; the files are checked where they are merged. Raises WeightsError."""
        try:
            told = json.loads((folder / kind.manifest).read_text(encoding="utf-8"))
            shipped = cls(kind, folder, told["name"], told["base"], told["base_sha256"], dict(told["sha256"]))
            shipped.sha256[kind.weights]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise WeightsError(f"{folder / kind.manifest} cannot be read; install Quoteline again") from error
        return shipped

    @property
    def digest(self) -> str:
        """The sha256 of the weights."""
        return self.sha256[self.kind.weights]

    @property
    def full_name(self) -> str:
        """The name with a digest, so that no two trainings have the same."""
        return f"{self.name}-{self.digest[:12]}"

    def merged(self, network_on: Callable[[Path], Network]) -> tuple[Network, Path]:
        """Return the trained network and the file of its tokenizer; network_on: makes one above the public weights.

        Raises the kind's error where what is needed for that is not installed, EncoderError and WeightsError where the
        weights, public or shipped, are missing or others.
        """
        kind = self.kind
        if find_spec("torch") is None or find_spec("transformers") is None:
            raise kind.error(
                f"{kind.called} is not prepared, and torch and transformers, which prepare it, are not installed; "
                f"install quoteline[prepare] and run `quoteline prepare`, or do without: {kind.setting}=none"
            )
        check_files(self.folder, self.sha256, "install Quoteline again")
        if (self.base, self.base_sha256) != (DEFAULT_MODEL, DEFAULT_SHA256["model.safetensors"]):
            raise WeightsError(
                f"{self.folder / kind.weights} was trained from other weights than {DEFAULT_MODEL}'s; install "
                "Quoteline again"
            )
        base = default_weights()
        network = network_on(base)
        merge(network, self.folder / kind.weights)
        return network, base / "tokenizer.json"

    def prepared(
        self, models: Path, network_on: Callable[[Path], "nn.Module"], examples: "Callable[[], Sequence[Tensor]]"
    ) -> Path:
        """Return the folder of the prepared model, `models/<noun>-<digest>`; where there is none it is made.

        One of a former format is made again. examples: makes inputs that leave no branch of the network out. Raises
        what `merged` and `store` do.
        """
        folder = models / f"{self.kind.noun}-{self.digest[:12]}"
        manifest = folder / self.kind.manifest
        if not manifest.is_file() or is_outdated(manifest, FORMAT):
            network, tokenizer = self.merged(network_on)
            told = {"name": self.full_name, "model": self.base, "weights": self.digest}
            store(self.kind, network, examples(), tokenizer, folder, **told)
        return folder


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the manifest of a prepared folder says. weights: their sha256. sha256: of the other files, by name."""

    name: str
    model: str
    weights: str
    sha256: dict[str, str]
    format: int = FORMAT

    @classmethod
    def of(cls, kind: Kind, folder: Path) -> "Prepared":
        """Read the manifest and check the files that it tells of. Raises WeightsError."""
        way_out = f"remove {folder} and it is prepared again"
        try:
            prepared = cls(**json.loads((folder / kind.manifest).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise WeightsError(f"{folder / kind.manifest} cannot be read; {way_out}") from error
        check_files(folder, prepared.sha256, way_out)
        return prepared


def store(
    kind: Kind,
    network: "nn.Module",
    examples: "Sequence[Tensor]",
    tokenizer: Path,
    folder: Path,
    *,
    name: str,
    model: str,
    weights: str,
) -> None:
    """Convert a network and store it in `folder`, whole or not at all, with its tokenizer and its manifest.

    tokenizer: a tokenizer.json. model: what the network was made from; weights: the digest of its weights. Raises the
    kind's error.
    """
    from tokenizers import Tokenizer

    with new_folder(folder, kind.error) as unfinished:
        Tokenizer.from_file(str(tokenizer)).save(str(unfinished / "tokenizer.json"))
        try:
            convert(network, examples, unfinished / "model.xml")
        except Exception as error:  # OpenVINO raises many kinds
            raise kind.error(
                f"{kind.called} cannot be converted to OpenVINO for {folder.parent}; see that the disk has room, and "
                "that OpenVINO, torch and transformers are of the versions that requirements.lock names"
            ) from error
        manifest = Prepared(name, model, weights, sha256_of_files(unfinished))
        (unfinished / kind.manifest).write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")


def encoder_on(base: Path, *, attention: str) -> "PreTrainedModel":
    """Return the encoder in the folder `base`, in torch; attention: as `transformers` calls its implementations."""
    from transformers import AutoModel

    silence_transformers()
    encoder: PreTrainedModel = AutoModel.from_pretrained(base, attn_implementation=attention)
    return encoder
