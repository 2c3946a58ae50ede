"""Examples: a question, passages, and which of their sentences answer it."""

from dataclasses import dataclass

from index.articles import Span
from index.encoding import Context


@dataclass(frozen=True, slots=True)
class Labelled:
    """A passage and what is known of it.

    answers: for each sentence whether it answers; None where that is not known. part: what answers, offsets in the
    passage's text. parts_known: whether "no part" means that nothing in the passage answers, word for word.
    """

    context: Context
    answers: tuple[bool | None, ...]
    part: Span | None = None
    parts_known: bool = False

    def __post_init__(self) -> None:
        if len(self.answers) != len(self.context.spans):
            raise ValueError(f"{len(self.answers)} labels for {len(self.context.spans)} sentences")

    @property
    def helps(self) -> bool:
        """Whether any sentence answers."""
        return any(self.answers)


@dataclass(frozen=True, slots=True)
class Example:
    """A question and passages to read for it, the hardest first. group: what is held out together, such as a title."""

    source: str
    group: str
    question: str
    passages: tuple[Labelled, ...]

    @property
    def answerable(self) -> bool:
        """Whether any sentence of any passage answers."""
        return any(passage.helps for passage in self.passages)
