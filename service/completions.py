"""What is said to a chat, in the two forms that OpenAI's clients read: chat completions and responses. No HTTP here.

Indices of citations count the code points of the answer's text, as OpenAI's own do, half-open, and hold the mark
`[[n]](link)`. They are no offsets of the source: those are in answers of `/ask`.

Tokens are counted as words and punctuation marks: there is no language model whose tokens they could be.
"""

import json
import re
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from pydantic import BaseModel, Field

from service.answering import Answer, Citation, Verdict
from service.markdown import Piece, escape, marks_in, name_of, render_markdown
from service.problems import OpenAIError

Json = Mapping[str, object]

_TOKEN = re.compile(r"\w+|[^\w\s]")


def count_tokens(text: str) -> int:
    """Return how many words and punctuation marks there are."""
    return sum(1 for _ in _TOKEN.finditer(text))


@dataclass(frozen=True, slots=True)
class Reply:
    """What is said to a chat. verdict: None where it is no answer to a question."""

    pieces: tuple[Piece, ...]
    verdict: Verdict | None = None

    @property
    def text(self) -> str:
        """All of it, in Markdown."""
        return "".join(piece.text for piece in self.pieces)

    @property
    def citations(self) -> tuple[Citation, ...]:
        """Those that have a mark, in order."""
        return tuple(piece.mark for piece in self.pieces if piece.mark is not None)

    @property
    def headers(self) -> Mapping[str, str]:
        """What goes before it."""
        return {"Quoteline-Verdict": self.verdict} if self.verdict else {}

    @classmethod
    def of(cls, answer: Answer, *, perhaps: float) -> "Reply":
        """Return what says `answer`; perhaps: as `render_markdown` takes it."""
        return cls(render_markdown(answer, perhaps=perhaps), answer.verdict)


class UrlCitation(BaseModel):
    """A citation, and where its mark stands in the text."""

    start_index: int = Field(description="where the mark begins in the answer's text, in code points")
    end_index: int = Field(description="where it ends, exclusive")
    url: str = Field(description="opens the article at the sentence")
    title: str = Field(description="what the article is called")


class FlatUrlCitation(UrlCitation):
    """A citation, as responses hold it."""

    type: Literal["url_citation"] = Field("url_citation", description="always that")


class Annotation(BaseModel):
    """A citation, as chat completions hold it."""

    type: Literal["url_citation"] = Field("url_citation", description="always that")
    url_citation: UrlCitation = Field(description="the citation")


class Message(BaseModel):
    """What is said."""

    role: Literal["assistant"] = Field("assistant", description="who says it")
    content: str = Field(description="Markdown: verbatim sentences, each with its mark `[[n]](link)`")
    refusal: None = Field(None, description="always null")
    annotations: list[Annotation] = Field(description="the citations; empty where `QUOTELINE_ANNOTATIONS` says so")


class Choice(BaseModel):
    """The only choice."""

    index: Literal[0] = Field(0, description="always 0")
    message: Message = Field(description="what is said")
    finish_reason: Literal["stop"] = Field("stop", description="always that")
    logprobs: None = Field(None, description="always null")


class Usage(BaseModel):
    """How much was read and said, in words and punctuation marks."""

    prompt_tokens: int = Field(description="of all messages")
    completion_tokens: int = Field(description="of the answer")
    total_tokens: int = Field(description="of both")


class SourceName(BaseModel):
    """An article, as Open WebUI names it."""

    id: str = Field(description="the id of the citation")
    name: str = Field(description="what the article is called")
    url: str = Field(description="opens the article at the sentence")


class SourceFacts(BaseModel):
    """What Open WebUI reads of a passage."""

    source: str = Field(description="the id of the citation, by which passages are numbered")
    name: str = Field(description="what the article is called")
    url: str = Field(description="opens the article at the sentence")


class Source(BaseModel):
    """A citation, as Open WebUI shows it: one passage."""

    source: SourceName = Field(description="where it is from")
    document: list[str] = Field(description="the sentence, word for word; in a stream, as Markdown that shows it so")
    metadata: list[SourceFacts] = Field(description="the same, once more")
    distances: list[float] = Field(description="the estimated probability that the sentence answers")


class ChatCompletion(BaseModel):
    """An answer as a whole."""

    id: str = Field(description="of this response")
    object: Literal["chat.completion"] = Field("chat.completion", description="always that")
    created: int = Field(description="when, in seconds since 1970")
    model: str = Field(description="the one that was asked")
    choices: list[Choice] = Field(description="one")
    usage: Usage = Field(description="words and punctuation marks")
    sources: list[Source] = Field(description="the citations with their sentences")


class OutputText(BaseModel):
    """The text of an answer."""

    type: Literal["output_text"] = Field("output_text", description="always that")
    text: str = Field(description="Markdown: verbatim sentences, each with its mark `[[n]](link)`")
    annotations: list[FlatUrlCitation] = Field(description="the citations")
    logprobs: list[None] = Field(default_factory=list, description="always empty")


class OutputMessage(BaseModel):
    """What is said."""

    id: str = Field(description="of this message; nothing is kept under it")
    type: Literal["message"] = Field("message", description="always that")
    status: Literal["in_progress", "completed"] = Field(description="how far it is")
    role: Literal["assistant"] = Field("assistant", description="who says it")
    content: list[OutputText] = Field(description="one text, once there is one")


class InputDetails(BaseModel):
    """What of the input was cached."""

    cached_tokens: Literal[0] = Field(0, description="always 0")
    cache_write_tokens: Literal[0] = Field(0, description="always 0")


class OutputDetails(BaseModel):
    """What of the output is reasoning."""

    reasoning_tokens: Literal[0] = Field(0, description="always 0")


class ResponseUsage(BaseModel):
    """How much was read and said, in words and punctuation marks."""

    input_tokens: int = Field(description="of all messages")
    input_tokens_details: InputDetails = Field(InputDetails(), description="of which")
    output_tokens: int = Field(description="of the answer")
    output_tokens_details: OutputDetails = Field(OutputDetails(), description="of which")
    total_tokens: int = Field(description="of both")


class ModelResponse(BaseModel):
    """An answer as a whole. What OpenAI's clients require is there, and says that it is not used."""

    id: str = Field(description="of this response; nothing is kept under it")
    object: Literal["response"] = Field("response", description="always that")
    created_at: int = Field(description="when, in seconds since 1970")
    status: Literal["in_progress", "completed"] = Field(description="how far it is")
    model: str = Field(description="the one that was asked")
    output: list[OutputMessage] = Field(description="one message, once there is one")
    usage: ResponseUsage | None = Field(description="words and punctuation marks; null until it is completed")
    error: None = Field(None, description="always null")
    incomplete_details: None = Field(None, description="always null")
    instructions: None = Field(None, description="always null")
    metadata: dict[str, str] = Field(default_factory=dict, description="always empty")
    parallel_tool_calls: Literal[False] = Field(False, description="always that")
    previous_response_id: None = Field(None, description="always null: nothing is kept")
    store: Literal[False] = Field(False, description="always that: nothing is kept")
    temperature: None = Field(None, description="always null")
    tool_choice: Literal["none"] = Field("none", description="always that")
    tools: list[None] = Field(default_factory=list, description="always empty")
    top_p: None = Field(None, description="always null")


class Wire(Protocol):
    """How a reply is told in a stream, as server-sent events."""

    def opening(self) -> Iterator[bytes]:
        """Yield what is sent before there is a reply."""

    def telling(self, reply: Reply) -> Iterator[bytes]:
        """Yield what is sent of a reply, a piece at a time, to the end of the stream."""

    def failing(self, error: OpenAIError) -> Iterator[bytes]:
        """Yield what is sent in place of a reply, to the end of the stream."""


class ChatWire:
    """Chat completions, as one object or in chunks.

    annotated: with citations as OpenAI has them. usage: at the end of a stream, too.
    """

    def __init__(self, model: str, prompt: str, *, annotated: bool, usage: bool) -> None:
        self._id, self._created, self._model = f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), model
        self._prompt = prompt
        self._annotated, self._usage = annotated, usage

    def whole(self, reply: Reply) -> ChatCompletion:
        """Return the reply as one object."""
        return ChatCompletion(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[Choice(message=Message(content=reply.text, annotations=self._annotations(reply)))],
            usage=self._count(reply),
            sources=[_source(one, one.quote, one.link) for one in reply.citations],
        )

    def opening(self) -> Iterator[bytes]:
        """Yield one chunk, with Open WebUI's line of status."""
        yield self._chunk(
            {"role": "assistant", "content": ""}, event=_status("Looking through the articles", done=False)
        )

    def telling(self, reply: Reply) -> Iterator[bytes]:
        """Yield each piece of the text, each citation behind its mark as Open WebUI's event, and the rest."""
        if reply.verdict is not None:
            yield self._chunk({}, event=_status(_STATUS[reply.verdict], done=True))
        for piece in reply.pieces:
            yield self._chunk({"content": piece.text})
            if piece.mark is not None:
                # An event of its own, and with choices: others refuse a chunk without.
                # Open WebUI shows the passage as Markdown.
                data = _source(piece.mark, escape(piece.mark.quote), _closed(piece.mark.link)).model_dump()
                yield self._chunk({}, event={"type": "source", "data": data})
        annotations = [one.model_dump() for one in self._annotations(reply)]
        # LobeChat reads annotations only here.
        yield self._chunk({"annotations": annotations} if annotations else {}, finish="stop")
        if self._usage:
            yield self._event({"choices": [], "usage": self._count(reply).model_dump()})
        yield b"data: [DONE]\n\n"

    def failing(self, error: OpenAIError) -> Iterator[bytes]:
        """Yield the error, as clients of either kind read it in a stream."""
        yield _data({"error": error.model_dump()})
        yield b"data: [DONE]\n\n"

    def _annotations(self, reply: Reply) -> list[Annotation]:
        return [Annotation(url_citation=one) for one in _url_citations(reply)] if self._annotated else []

    def _count(self, reply: Reply) -> Usage:
        prompt, completion = count_tokens(self._prompt), count_tokens(reply.text)
        return Usage(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)

    def _chunk(self, delta: Json, *, finish: str | None = None, event: Json | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return self._event({"choices": [choice], **({"event": event} if event else {})})

    def _event(self, rest: Json) -> bytes:
        head = {"id": self._id, "object": "chat.completion.chunk", "created": self._created, "model": self._model}
        return _data({**head, **rest})


class ResponseWire:
    """Responses, as one object or as numbered events."""

    def __init__(self, model: str, prompt: str) -> None:
        self._id, self._item, self._created = f"resp_{uuid.uuid4().hex}", f"msg_{uuid.uuid4().hex}", int(time.time())
        self._model, self._prompt = model, prompt
        self._number = -1

    def whole(self, reply: Reply) -> ModelResponse:
        """Return the reply as one object."""
        read, said = count_tokens(self._prompt), count_tokens(reply.text)
        return ModelResponse(
            id=self._id,
            created_at=self._created,
            status="completed",
            model=self._model,
            output=[self._message(reply)],
            usage=ResponseUsage(input_tokens=read, output_tokens=said, total_tokens=read + said),
        )

    def opening(self) -> Iterator[bytes]:
        """Yield that the response and its only message begin."""
        begun = ModelResponse(
            id=self._id, created_at=self._created, status="in_progress", model=self._model, output=[], usage=None
        ).model_dump()
        yield self._event("response.created", {"response": begun})
        yield self._event("response.in_progress", {"response": begun})
        message = OutputMessage(id=self._item, status="in_progress", content=[])
        yield self._event("response.output_item.added", {"output_index": 0, "item": message.model_dump()})
        part = OutputText(text="", annotations=[]).model_dump()
        yield self._event("response.content_part.added", {**self._place, "part": part})

    def telling(self, reply: Reply) -> Iterator[bytes]:
        """Yield each piece of the text, each citation behind its mark, and the end of all that was begun."""
        citations = iter(enumerate(_url_citations(reply)))
        for piece in reply.pieces:
            yield self._event("response.output_text.delta", {**self._place, "delta": piece.text, "logprobs": []})
            if piece.mark is not None:
                index, citation = next(citations)
                told = {"annotation_index": index, "annotation": citation.model_dump()}
                yield self._event("response.output_text.annotation.added", {**self._place, **told})
        message = self._message(reply).model_dump()
        [part] = message["content"]
        yield self._event("response.output_text.done", {**self._place, "text": reply.text, "logprobs": []})
        yield self._event("response.content_part.done", {**self._place, "part": part})
        yield self._event("response.output_item.done", {"output_index": 0, "item": message})
        yield self._event("response.completed", {"response": self.whole(reply).model_dump()})

    def failing(self, error: OpenAIError) -> Iterator[bytes]:
        """Yield the error, flat for OpenAI's own clients, and as an object for the Vercel AI SDK."""
        told = error.model_dump()
        yield self._event("error", {**{name: told[name] for name in ("message", "param", "code")}, "error": told})

    @property
    def _place(self) -> Json:
        return {"item_id": self._item, "output_index": 0, "content_index": 0}

    def _message(self, reply: Reply) -> OutputMessage:
        text = OutputText(text=reply.text, annotations=_url_citations(reply))
        return OutputMessage(id=self._item, status="completed", content=[text])

    def _event(self, kind: str, rest: Json) -> bytes:
        self._number += 1
        return f"event: {kind}\n".encode() + _data({"type": kind, "sequence_number": self._number, **rest})


_STATUS: Mapping[Verdict, str] = {
    "answered": "Found sentences that answer",
    "perhaps": "Found sentences that may answer",
    "unanswered": "Found nothing that answers",
}


def _status(description: str, *, done: bool) -> Json:
    return {"type": "status", "data": {"description": description, "done": done}}


def _source(citation: Citation, passage: str, url: str) -> Source:
    # Open WebUI numbers passages by `source`, so that its numbers are those of the marks. In place of the title it
    # would show an id that is an address, which the id of an article can be.
    name = f"citation {citation.id}"
    title = name_of(citation)
    return Source(
        source=SourceName(id=name, name=title, url=url),
        document=[passage],
        metadata=[SourceFacts(source=name, name=title, url=url)],
        distances=[citation.score],
    )


def _closed(link: str) -> str:
    """Return `link`, which stays what it is where Open WebUI puts `#:~:text=First,Last` behind it.

    That would mark the first place with these words, or replace the anchor. Browsers pass over the directive `x`.
    """
    return f"{link}&x=" if ":~:" in link else f"{link}:~:x="


def _url_citations(reply: Reply) -> list[FlatUrlCitation]:
    return [
        FlatUrlCitation(
            start_index=mark.start, end_index=mark.end, url=mark.citation.link, title=name_of(mark.citation)
        )
        for mark in marks_in(reply.pieces)
    ]


def _data(value: Json) -> bytes:
    # Escaped to ASCII: no line end of the text's is one of the stream's.
    return f"data: {json.dumps(value, separators=(',', ':'))}\n\n".encode()
