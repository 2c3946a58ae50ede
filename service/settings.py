"""What can be set: environment variables `QUOTELINE_*`, each with a flag of the same name on `quoteline serve`."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from index.confidence import ANSWERED, PERHAPS
from index.encoding import DEFAULT_MODEL


class Settings(BaseSettings):
    """The settings of one process. A flag wins over the environment, the environment over the default."""

    model_config = SettingsConfigDict(env_prefix="QUOTELINE_", extra="forbid")

    data: Path = Field(Path("var"), description="the folder of everything that is built")
    host: str = Field("127.0.0.1", description="the address to listen on")
    port: int = Field(8000, ge=0, le=65535, description="the port to listen on")
    model: str = Field(DEFAULT_MODEL, description="the encoder: a sentence-transformers name or folder")
    models: Path | None = Field(
        None, description="the folder of prepared encoders; if unset, `models` in the data folder"
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        "auto", description="where articles are encoded as they are added; `auto` takes a GPU where there is one"
    )
    answered: float = Field(ANSWERED, ge=0, le=1, description="probability from which an answer is called `answered`")
    perhaps: float = Field(PERHAPS, ge=0, le=1, description="probability below which nothing answers")
    public_url: str = Field("", description="the address that links in answers begin with; the request's own if unset")

    @property
    def corpus_folder(self) -> Path:
        """The folder of the corpus."""
        return self.data / "corpus"

    @property
    def models_folder(self) -> Path:
        """The folder of prepared encoders."""
        return self.models or self.data / "models"
