"""Folders of prepared encoders: what they hold, how they are made and found again."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from index.errors import EncoderError, WeightsError
from index.prepared import is_outdated, new_folder, sha256_of_files, slug
from index.runtime import convert
from index.torch_encoder import (
    digest_of,
    dim_of,
    is_late,
    known_weights,
    load_sentence_transformer,
    prompt_of,
    window_of,
)

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

# What a prepared folder holds; one of another format is prepared again.
FORMAT = 3


@dataclass(frozen=True, slots=True)
class Manifest:
    """What `encoder.json` in a prepared folder says.

    late: whether a mean of token vectors is a sentence's vector; the stored model then returns those of the tokens, and
    else the texts'. packs: whether it keeps several texts in one row apart. sha256: of the folder's other files, by
    name.
    """

    name: str
    model: str
    weights: str
    dim: int
    window: int
    question_prompt: str
    text_prompt: str
    late: bool
    packs: bool
    sha256: dict[str, str]
    format: int = FORMAT


class ConversionError(EncoderError):
    """The model runs in sentence-transformers but cannot be converted."""


def prepare(model: str, models: Path) -> Path:
    """Convert `model` to OpenVINO and return its new folder `models/<name>-<digest>`; whole or not at all.

    Raises EncoderError where the model or sentence-transformers is missing, ConversionError where the model cannot be
    converted.
    """
    loaded = load_sentence_transformer(model, device="cpu")
    digest = digest_of(model, loaded)
    name = f"{slug(model)}-{digest[:12]}"
    folder = models / name
    with new_folder(folder, EncoderError) as unfinished:
        packs = _convert(loaded, unfinished)
        manifest = Manifest(
            name=name,
            model=model,
            weights=digest,
            dim=dim_of(loaded),
            window=window_of(loaded),
            question_prompt=prompt_of(loaded, "query"),
            text_prompt=prompt_of(loaded, "document"),
            late=is_late(loaded),
            packs=packs,
            sha256=sha256_of_files(unfinished),
        )
        (unfinished / "encoder.json").write_text(json.dumps(asdict(manifest), indent=2) + "\n", encoding="utf-8")
    return folder


def _convert(model: "SentenceTransformer", folder: Path) -> bool:
    """Store the model and its tokenizer; return whether it packs. Raises ConversionError."""
    import torch

    backend = getattr(model.tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ConversionError(f"{type(model.tokenizer).__name__} has no fast tokenizer")
    backend.save(str(folder / "tokenizer.json"))
    packs = is_late(model) and _packs(model)
    # The second row is padded, or holds two texts: traced on full rows alone, the model would lose its attention mask.
    texts = torch.tensor([[1] * 9, [1] * 5 + [0] * 4])
    inputs = [torch.full((2, 9), 7), texts, torch.arange(9).repeat(2, 1)]
    try:
        convert(_converted(model, packs=packs), inputs if packs else inputs[:2], folder / "model.xml")
    except Exception as error:  # whatever a foreign model's conversion raises: there is another way to run it
        raise ConversionError("the model cannot be converted to OpenVINO; sentence-transformers runs it") from error
    return packs


def _converted(model: "SentenceTransformer", *, packs: bool) -> "torch.nn.Module":
    """Return what is converted: a _Batch's arrays in, tokens' vectors out, or texts' where the model is not late."""
    import torch

    late = is_late(model)

    class Tokens(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids: torch.Tensor, texts: torch.Tensor, places: torch.Tensor | None = None) -> torch.Tensor:
            features = {"input_ids": ids, "attention_mask": (texts > 0).long(), "token_type_ids": torch.zeros_like(ids)}
            if packs and places is not None:
                # A token sees those of its own text.
                features |= {"attention_mask": (texts[:, None, :, None] == texts[:, None, None, :])}
                features |= {"position_ids": places}
            if late:
                found: torch.Tensor = self.model[0](features)["token_embeddings"]
                return found
            return torch.nn.functional.normalize(self.model(features)["sentence_embedding"], dim=-1)

    return Tokens()


def _packs(model: "SentenceTransformer") -> bool:
    """Whether two texts in one row, told apart by mask and places, get the vectors that each has alone.

    Not in models that count places in another way, or see them otherwise than by their number.
    """
    import torch

    one, other = (
        torch.tensor([ids]) for ids in model.tokenizer(["Who denies it?", "Two eggs and flour."])["input_ids"]
    )
    ids = torch.cat([one, other], dim=1)
    texts = torch.cat([torch.full_like(one, 1), torch.full_like(other, 2)], dim=1)
    places = torch.cat([torch.arange(part.shape[1])[None] for part in (one, other)], dim=1)
    try:
        with torch.inference_mode():
            together = _converted(model, packs=True)(ids, texts, places)
            alone = [_converted(model, packs=False)(part, torch.ones_like(part)) for part in (one, other)]
    except Exception:  # whatever a foreign model raises of a mask of another shape
        return False
    return torch.allclose(together, torch.cat(alone, dim=1), atol=1e-4)


def find_prepared(model: str, models: Path) -> Path | None:
    """Return the folder of the encoder of `model` under `models`, where there is one that can be used."""
    weights = known_weights(model)
    for path in sorted(models.glob(f"{slug(model)}-*/encoder.json")):
        if is_outdated(path, FORMAT):
            continue
        manifest = read_manifest(path.parent)
        if manifest.model == model and weights in (None, manifest.weights):
            return path.parent
    return None


def read_manifest(folder: Path) -> Manifest:
    """Return the manifest of a prepared encoder. Raises WeightsError."""
    try:
        return Manifest(**json.loads((folder / "encoder.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise WeightsError(f"{folder}/encoder.json cannot be read; remove {folder} and it is prepared again") from error
