"""OpenAI-compatible: what chat frontends speak. Citations are in the text, and in each form that a frontend reads."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, Field

from index.corpus import Corpus
from index.errors import ModelNotFoundError, QuestionError
from index.store import Filters
from service.access import Caller
from service.answering import Answerer
from service.completions import ChatCompletion, ChatWire, ModelResponse, Reply, ResponseWire
from service.conversation import MOST_TURNS, Turn
from service.deps import AnswererDep, BaseUrlDep, CallerDep, CorpusDep
from service.frontends import Message, question_in, reply_to_frontend
from service.markdown import Piece, quotes_in
from service.metrics import observe_answer
from service.problems import responses
from service.routes.ask import COMPARE
from service.settings import Settings
from service.streaming import ReplyStream

router = APIRouter(tags=["chat"])

# The model that answers from all that the caller may see; each collection is one more, below it.
MODEL = "quoteline"
_OWN = f"{MODEL}/"
# Open WebUI's backend, which makes a second passage of each annotation.
_OPEN_WEBUI = re.compile(r"\baiohttp/")

_ERRORS = responses(400, 401, 403, 404, 408, 413, 414, 429, 500, 503, openai=True)
_VERDICT = {"Quoteline-Verdict": {"schema": {"type": "string", "enum": ["answered", "perhaps", "unanswered"]}}}
_STREAMED: dict[str, Any] = {
    "description": "The answer, as a whole or, where `stream` is true, as server-sent events. The header "
    "`Quoteline-Verdict` repeats its verdict, where that is known when the response begins.",
    "content": {"text/event-stream": {}},
    "headers": _VERDICT,
}


class Part(BaseModel):
    """A part of a message; parts without text are not read."""

    type: str = Field("text", description="`text`, `input_text`, `output_text`; others are not read")
    text: str | None = Field(None, description="the words")


class ChatMessage(BaseModel):
    """A message of a conversation; only those of `user` and `assistant` are read."""

    role: str = Field("", description="`user`, `assistant`; others are not read")
    content: str | list[Part] | None = Field(None, description="the words, or parts of them")

    def read(self) -> Message:
        """Return what is read of it."""
        if isinstance(self.content, str):
            return Message(self.role, self.content)
        return Message(self.role, "\n".join(part.text for part in self.content or () if part.text))


Model = Annotated[
    str,
    Field(description=f"`{MODEL}` for all collections, `{_OWN}NAME` for one; see `/v1/models`", examples=[MODEL]),
]
Compare = Annotated[bool | None, Field(strict=True, description=f"{COMPARE}; null for yes")]
Stream = Annotated[bool | None, Field(strict=True, description="whether to send the answer as server-sent events")]


class StreamOptions(BaseModel):
    """What a stream is to hold."""

    include_usage: bool | None = Field(None, strict=True, description="whether its last chunk counts words")


class ChatRequest(BaseModel):
    """A conversation, whose last message of `user` is the question. All fields that are not here are not read."""

    model: Model = MODEL
    messages: list[ChatMessage] = Field(
        min_length=1,
        description="the conversation, oldest first; none is kept",
        examples=[[{"role": "user", "content": "Did Iran deny sending drones?"}]],
    )
    stream: Stream = False
    stream_options: StreamOptions | None = Field(None, description="what a stream is to hold")
    compare: Compare = True


class ResponseRequest(BaseModel):
    """A question, or a conversation that ends with it. All fields that are not here are not read."""

    model: Model = MODEL
    input: str | list[ChatMessage] = Field(
        description="the question, or the conversation, oldest first; none is kept",
        examples=["Did Iran deny sending drones?"],
    )
    stream: Stream = False
    compare: Compare = True
    previous_response_id: None = Field(None, description="nothing is kept; send the conversation as `input`")


class ModelCard(BaseModel):
    """A collection, or all of them, as a model."""

    id: str = Field(description="what `model` is to be")
    name: str = Field(description="the same for people")
    object: Literal["model"] = Field("model", description="always that")
    created: Literal[0] = Field(0, description="always 0")
    owned_by: Literal["quoteline"] = Field("quoteline", description="always that")


class ModelList(BaseModel):
    """All models that the caller may ask."""

    object: Literal["list"] = Field("list", description="always that")
    data: list[ModelCard] = Field(description="all collections as one, then each of them")


@dataclass(frozen=True, slots=True)
class _Asking:
    """Who asks what. limiter: of the replies that are made at once."""

    corpus: Corpus
    answerer: Answerer
    caller: Caller
    base_url: str
    settings: Settings
    limiter: CapacityLimiter


async def _asking(
    request: Request, corpus: CorpusDep, answerer: AnswererDep, caller: CallerDep, base_url: BaseUrlDep
) -> _Asking:
    state = request.app.state
    return _Asking(corpus, answerer, caller, base_url, state.settings, state.asking)


AskingDep = Annotated[_Asking, Depends(_asking)]


@router.post(
    "/v1/chat/completions",
    response_model=ChatCompletion,
    responses={200: _STREAMED, **_ERRORS},
    summary="Ask, as a chat frontend (chat completions)",
)
async def complete_chat(body: ChatRequest, request: Request, asking: AskingDep) -> Response:
    """Answer the last question of a conversation with sentences of the articles, word for word, in Markdown."""
    messages = [message.read() for message in body.messages]
    wire = ChatWire(
        body.model,
        _prompt(messages),
        annotated=_annotated(asking.settings, request),
        usage=bool(body.stream_options and body.stream_options.include_usage),
    )
    return await _respond(messages, body, wire, asking)


@router.post(
    "/v1/responses",
    response_model=ModelResponse,
    responses={200: _STREAMED, **_ERRORS},
    summary="Ask, as a chat frontend (responses)",
)
async def create_response(body: ResponseRequest, asking: AskingDep) -> Response:
    """Answer the last question of a conversation with sentences of the articles, word for word, in Markdown."""
    said = [ChatMessage(role="user", content=body.input)] if isinstance(body.input, str) else body.input
    messages = [message.read() for message in said]
    return await _respond(messages, body, ResponseWire(body.model, _prompt(messages)), asking)


@router.get("/v1/models", responses=responses(401, 403, 414, 429, 500, 503, openai=True), summary="List models")
def list_models(corpus: CorpusDep, caller: CallerDep) -> ModelList:
    """Return one model for all that the caller may see, and one for each collection of it."""
    return ModelList(data=[_card(name) for name in _models(corpus, caller)])


@router.get(
    "/v1/models/{model:path}",
    responses=responses(401, 403, 404, 414, 429, 500, 503, openai=True),
    summary="Show a model",
)
def show_model(
    model: Annotated[str, Path(description="its id", examples=[MODEL])], corpus: CorpusDep, caller: CallerDep
) -> ModelCard:
    """Return the model of that id."""
    return _card(_known(model, corpus, caller))


async def _respond(
    messages: Sequence[Message],
    body: ChatRequest | ResponseRequest,
    wire: ChatWire | ResponseWire,
    asking: _Asking,
) -> Response:
    make = await _reply_to(messages, body, asking)
    if body.stream:
        return ReplyStream(make, wire, asking.limiter)
    reply = await run_sync(make, limiter=asking.limiter)
    return Response(wire.whole(reply).model_dump_json(), media_type="application/json", headers=reply.headers)


async def _reply_to(
    messages: Sequence[Message], body: ChatRequest | ResponseRequest, asking: _Asking
) -> Callable[[], Reply]:
    """Return what makes the reply to the last question, which takes long.

    Raises ModelNotFoundError, and QuestionError where nothing is asked: a stream has not begun yet.
    """
    collections = asking.caller.collections_asked(())
    if body.model != MODEL:
        collections = ((await run_sync(_known, body.model, asking.corpus, asking.caller)).removeprefix(_OWN),)
    if (text := reply_to_frontend(messages)) is not None:
        return partial(Reply, (Piece(text),))
    if not (turns := _turns(messages)):
        raise QuestionError("there is no message of `user` that holds text; ask something like “Who denied it?”")
    filters = Filters((), (), None, None, collections)
    return partial(_answer, turns, asking, filters, compare=body.compare is not False)


def _answer(turns: Sequence[Turn], asking: _Asking, filters: Filters, *, compare: bool) -> Reply:
    *before, asked = turns
    answer = asking.answerer.ask(
        asked.question, turns=before[-MOST_TURNS:], filters=filters, base_url=asking.base_url, compare=compare
    )
    observe_answer(answer)
    return Reply.of(answer, perhaps=asking.settings.perhaps)


def _turns(messages: Sequence[Message]) -> list[Turn]:
    """Return the questions with what was quoted to answer them; the last has not been answered yet."""
    turns: list[Turn] = []
    for message in messages:
        if message.role == "user" and (question := question_in(message.text)):
            turns.append(Turn(question))
        elif message.role == "assistant" and turns:
            turns[-1] = Turn(turns[-1].question, turns[-1].quotes + quotes_in(message.text))
    return turns


def _models(corpus: Corpus, caller: Caller) -> list[str]:
    return [MODEL, *(f"{_OWN}{name}" for name in sorted(corpus.store.collections()) if name and caller.admits(name))]


def _known(model: str, corpus: Corpus, caller: Caller) -> str:
    """Return `model`, which the caller may ask. Raises ModelNotFoundError, also where there is one for others."""
    if model != MODEL and model not in _models(corpus, caller):
        raise ModelNotFoundError(f"there is no model {model[:100]!r}; GET /v1/models lists those that there are")
    return model


def _card(model: str) -> ModelCard:
    return ModelCard(id=model, name=model.replace(MODEL, "Quoteline", 1).replace("/", ": ", 1))


def _prompt(messages: Sequence[Message]) -> str:
    return "\n".join(message.text for message in messages)


def _annotated(settings: Settings, request: Request) -> bool:
    """Whether citations are sent as annotations, too."""
    if settings.annotations == "auto":
        return not _OPEN_WEBUI.search(request.headers.get("user-agent", ""))
    return settings.annotations == "yes"
