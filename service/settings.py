"""What can be set: environment variables `QUOTELINE_*`, each with a flag of the same name on `quoteline serve`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.confidence import ANSWERED, PERHAPS
from index.encoding import DEFAULT_MODEL
from index.entailment import NO_ENTAILMENT
from index.ranking import READ
from index.reading import DEFAULT_READER


class Settings(BaseSettings):
    """The settings of one process. A flag wins over the environment, the environment over the default."""

    model_config = SettingsConfigDict(env_prefix="QUOTELINE_", extra="forbid")

    data: Path = Field(Path("var"), description="the folder of everything that is built")
    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="the port to listen on")
    index: str = Field(
        "",
        repr=False,
        description="where a corpus is that several machines share, milvus://HOST/NAME?store=postgresql://…; if unset, "
        "the corpus is in the data folder",
    )
    queue: str = Field(
        "",
        repr=False,
        description="where the queue of `quoteline enqueue` is, postgresql://…; if unset, beside the store "
        "of the shared corpus",
    )
    model: str = Field(DEFAULT_MODEL, description="the encoder: a sentence-transformers name or folder")
    models: Path | None = Field(
        None, description="the folder of prepared models; if unset, `models` in the data folder"
    )
    reader: str = Field(
        DEFAULT_READER,
        description="what reads the best passages: `quoteline`, `none`, or the name or folder of a cross-encoder or an "
        "extractive question-answering model",
    )
    read: int = Field(
        READ, ge=0, le=50, description="the most passages that are read for a question; 0 is as good as no reader"
    )
    entailment: str = Field(
        NO_ENTAILMENT,
        description="what tells whether a sentence says yes or no: `none`, `quoteline`, or the name or folder of a "
        "cross-encoder for natural language inference",
    )
    entailed: float | None = Field(
        None,
        gt=0,
        le=1,
        description="probability from which that is said; if unset the model's own, and 0.9 for one that is not ours",
    )
    calibration: Path | None = Field(
        None,
        description="the file of `quoteline calibrate`; if unset, `calibration.json` in the data folder where there is "
        "one, else what is shipped",
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where articles are encoded as they are added; `auto` takes a GPU where there is one"
    )
    answered: float = Field(ANSWERED, ge=0, le=1, description="probability from which an answer is called `answered`")
    perhaps: float = Field(PERHAPS, ge=0, le=1, description="probability below which nothing answers")
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^\s/?#\[\]]+(/[^\s?#]*)?)?$",
        description="the address that links in answers begin with; the request's own if unset",
    )
    rewrite_url: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="an OpenAI-compatible server, such as http://localhost:11434/v1, whose language model rewrites "
        "follow-up questions, never answers; the conversation is sent there; none if unset",
    )
    rewrite_model: str = Field("", description="the name of that language model")
    rewrite_key: str = Field("", description="the API key of that server, if it wants one")
    remember: int = Field(
        1000,
        ge=0,
        description="answers that each process keeps to give them again, until something changes; 0 keeps none",
    )
    workers: int = Field(1, ge=1, le=64, description="processes that serve the corpus")
    open: Literal["no", "ask", "manage"] = Field(
        "no", description="what callers without a key may do from other machines; from this one they may do all"
    )
    rate: str = Field(
        "",
        description="requests of one key or address, such as 600/minute, or `off`; if unset 600/minute, but no limit "
        "for callers on this machine without a key",
    )
    in_flight: int = Field(64, ge=1, description="requests at work at once, in one process; more are told to come back")
    max_body: int = Field(64, ge=1, description="the largest request, in MiB; JSON Lines may be longer as a whole")
    patience: float = Field(20, gt=0, description="seconds that a sender may be silent before it is dropped")
    cors: str = Field("", description="web sites whose pages may read answers, separated by commas; none if unset")
    annotations: Literal["auto", "yes", "no"] = Field(
        "auto",
        description="whether chat completions carry `url_citation` annotations; `auto` leaves them out for Open WebUI, "
        "which would show each citation twice",
    )
    fetch: bool = Field(
        False, description="whether articles may be added by their address, which the server then fetches"
    )

    @property
    def corpus_folder(self) -> Path:
        """The folder of the corpus."""
        return self.data / "corpus"

    @property
    def keys_file(self) -> Path:
        """The file of the API keys."""
        return self.data / "keys.json"

    @property
    def models_folder(self) -> Path:
        """The folder of prepared models."""
        return self.models or self.data / "models"

    @property
    def calibration_file(self) -> Path:
        """The file of a calibration of one's own; it need not be there, unless it was named."""
        return self.calibration or self.data / "calibration.json"
