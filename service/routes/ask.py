"""Questions, from programs (JSON) and from people with curl (plain text)."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Annotated, Any, cast

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import PlainTextResponse
from fastapi.routing import APIRoute
from pydantic import BaseModel, ConfigDict, Field, StrictBool, TypeAdapter

from index.retrieval import LONGEST_QUESTION
from index.store import Filters
from service.access import Caller
from service.answering import DEFAULT_TOP_K, MOST_TOP_K, Answer, Answerer
from service.conversation import MOST_TURNS, Turn
from service.deps import AnswererDep, BaseUrlDep, CallerDep
from service.metrics import observe_answer
from service.plaintext import render_answer
from service.problems import responses
from service.said import AS_OF, MOST_FILTERS, ONLY, WORD_PATTERN, AnyId, AnySource, CollectionName, Day

router = APIRouter(tags=["ask"])

_JSON = TypeAdapter(Answer)
# Programs that people type, by what their User-Agent begins with.
_TERMINALS = ("curl/", "wget/", "httpie/", "xh/")
_COLOR = "in plain text, set the words that answer in bold for a terminal; `?color` is enough, and `never` is none"
_TURN = "an earlier question of the conversation; repeated, oldest first"
COMPARE = (
    "whether near-identical sentences are cited once, and what is cited is compared: who says yes, who no, whose "
    "statement it is, and when"
)
_MOST_LINKED_TURNS = 10
# What in an address says no.
NO = frozenset({"0", "false", "never", "no", "off"})
_BOTH: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; the header `Quoteline-Verdict` repeats its verdict.",
        "content": {"text/plain": {"schema": {"type": "string"}}},
        "headers": {"Quoteline-Verdict": {"schema": {"type": "string", "enum": ["answered", "perhaps", "unanswered"]}}},
    },
    **responses(400, 401, 403, 408, 413, 414, 422, 429, 500, 503),
}

Question = Annotated[
    str,
    Field(
        max_length=LONGEST_QUESTION,
        description="the question, in words",
        json_schema_extra={"pattern": WORD_PATTERN},
    ),
]
TopK = Annotated[int, Field(ge=1, le=MOST_TOP_K, description="the most citations to return")]


class AskFilters(BaseModel):
    """Which articles may answer; all that are given must hold."""

    model_config = ConfigDict(extra="forbid")

    article_ids: list[AnyId] = Field(
        default_factory=list, max_length=MOST_FILTERS, description="only these articles; all, if empty"
    )
    source: Annotated[list[AnySource], Field(max_length=MOST_FILTERS)] | AnySource | None = Field(
        None, description="one source or several, in any letter case"
    )
    collection: Annotated[list[CollectionName], Field(max_length=MOST_FILTERS)] | CollectionName | None = Field(
        None, description="one collection or several; if left out, all that the caller may see"
    )
    date_from: Day | None = Field(None, description="first day, inclusive; articles without a date are left out")
    date_to: Day | None = Field(None, description="last day, inclusive; articles without a date are left out")
    as_of: Day | None = Field(None, description=AS_OF)

    def to_filters(self, caller: Caller) -> Filters:
        """Return the same as the index knows it, for what the caller may see. Raises ForbiddenError."""
        sources = [self.source] if isinstance(self.source, str) else self.source or []
        wanted = [self.collection] if isinstance(self.collection, str) else self.collection or []
        collections = caller.collections_asked(wanted)
        return Filters(tuple(self.article_ids), tuple(sources), self.date_from, self.date_to, collections, self.as_of)


class AskTurn(BaseModel):
    """An earlier question of a conversation."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(max_length=LONGEST_QUESTION, description="the question, as it was asked")
    quotes: list[Annotated[str, Field(max_length=10_000)]] = Field(
        default_factory=list, max_length=MOST_TOP_K, description="the sentences that were shown for it, best first"
    )


class AskRequest(BaseModel):
    """A question, and what may answer it."""

    model_config = ConfigDict(extra="forbid")

    question: Question
    turns: list[AskTurn] = Field(
        default_factory=list,
        max_length=MOST_TURNS,
        description="the conversation before the question, oldest first; the server keeps none",
    )
    top_k: TopK = DEFAULT_TOP_K
    filters: AskFilters = AskFilters()
    compare: StrictBool = Field(True, description=COMPARE)


@router.post("/ask", response_model=Answer, responses=_BOTH, summary="Ask, as a program")
async def ask(
    body: AskRequest, request: Request, answerer: AnswererDep, caller: CallerDep, base_url: BaseUrlDep
) -> Response:
    """Answer a question with sentences of the articles, word for word. JSON, unless `Accept` asks for text/plain."""
    return await answer_to(body, request, answerer, caller, base_url)


# The route above, as logs and metrics know it.
ASK = cast(APIRoute, router.routes[-1])


async def answer_to(body: AskRequest, request: Request, answerer: Answerer, caller: Caller, base_url: str) -> Response:
    """Return the answer to a question, as `Accept` asks for it."""
    filters = body.filters.to_filters(caller)
    turns = [Turn(turn.question, tuple(turn.quotes)) for turn in body.turns]
    as_text = _accepts_text(request, sniff=False)

    def answered() -> Response:
        answer = answerer.ask(
            body.question, turns=turns, top_k=body.top_k, filters=filters, base_url=base_url, compare=body.compare
        )
        return _render(answer, as_text=as_text)

    return await _in_turn(answered, request, answerer, None if turns else body.question)


@router.get("/ask", response_model=Answer, responses=_BOTH, summary="Ask, as a person or a link")
async def ask_by_link(
    request: Request,
    answerer: AnswererDep,
    caller: CallerDep,
    base_url: BaseUrlDep,
    q: Annotated[Question, Query()],
    turn: Annotated[list[Question] | None, Query(max_length=_MOST_LINKED_TURNS, description=_TURN)] = None,
    top_k: Annotated[TopK, Query()] = DEFAULT_TOP_K,
    article_id: Annotated[list[AnyId] | None, Query(max_length=MOST_FILTERS, description=ONLY["article_id"])] = None,
    source: Annotated[list[AnySource] | None, Query(max_length=MOST_FILTERS, description=ONLY["source"])] = None,
    collection: Annotated[
        list[CollectionName] | None, Query(max_length=MOST_FILTERS, description=ONLY["collection"])
    ] = None,
    date_from: Day | None = None,
    date_to: Day | None = None,
    as_of: Annotated[Day | None, Query(description=AS_OF)] = None,
    compare: Annotated[bool, Query(description=COMPARE)] = True,
    color: Annotated[str | None, Query(description=_COLOR)] = None,
    no_color: Annotated[str | None, Query(alias="T", description="no colour, whatever `color` says")] = None,
) -> Response:
    """Answer a question; plain text for curl, wget and httpie, JSON for others. `Accept` decides where it is given."""
    collections = caller.collections_asked(collection or ())
    filters = Filters(tuple(article_id or ()), tuple(source or ()), date_from, date_to, collections, as_of)
    as_text = _accepts_text(request, sniff=True)
    colored = no_color is None and color is not None and color.lower() not in NO

    def answered() -> Response:
        turns = _told_again(answerer, turn or (), filters, compare=compare)
        answer = answerer.ask(q, turns=turns, top_k=top_k, filters=filters, base_url=base_url, compare=compare)
        return _render(answer, as_text=as_text, color=colored)

    return await _in_turn(answered, request, answerer, None if turn else q)


async def _in_turn(
    answered: Callable[[], Response], request: Request, answerer: Answerer, question: str | None
) -> Response:
    """Return what `answered` returns, once there is a thread for it; until then others know of `question`."""
    asking: CapacityLimiter = request.app.state.asking
    # What a conversation makes of a question is not known yet, and who has a thread needs nobody's help.
    with answerer.expecting(question) if question and asking.available_tokens < 1 else nullcontext():
        return await run_sync(answered, limiter=asking)


def _told_again(answerer: Answerer, questions: Sequence[str], filters: Filters, *, compare: bool) -> list[Turn]:
    """Return the turns of a conversation of which a link holds the questions alone.

    What was quoted for the last of them is found again, as a pronoun may stand for somebody there. For those before it
    that would cost more than they are worth.
    """
    turns = [Turn(question) for question in questions]
    if not turns:
        return []
    last = answerer.ask(turns[-1].question, turns=turns[:-1], filters=filters, compare=compare)
    return [*turns[:-1], Turn(last.question, tuple(citation.quote for citation in last.citations))]


def _render(answer: Answer, *, as_text: bool, color: bool = False) -> Response:
    observe_answer(answer)
    headers = {"Quoteline-Verdict": answer.verdict}
    if as_text:
        return PlainTextResponse(render_answer(answer, color=color), headers=headers)
    return Response(_JSON.dump_json(answer), media_type="application/json", headers=headers)


def _accepts_text(request: Request, *, sniff: bool) -> bool:
    """Whether plain text is wanted: `Accept` says so, or it says nothing and a terminal's program asks."""
    accept = request.headers.get("accept", "").lower()
    text, json = accept.find("text/plain"), accept.find("application/json")
    if text >= 0 or json >= 0:
        return text >= 0 and (json < 0 or text < json)
    agent = request.headers.get("user-agent", "").lower()
    return sniff and accept in ("", "*/*") and agent.startswith(_TERMINALS)
