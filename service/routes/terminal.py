"""For people with curl: a short help at `/`, and a shell script that asks."""

import re
from importlib.resources import files

from fastapi import APIRouter, HTTPException
from fastapi.responses import PlainTextResponse, Response

from service.deps import BaseUrlDep
from service.problems import responses

router = APIRouter(tags=["terminal"])

_HELP = """\
Quoteline: ask the articles a question; get the sentences that answer it, word
for word, with citations that anyone can check.

  curl '{base}/ask?q=Did+Iran+deny+sending+drones?'

  …&top_k=10                  more sentences
  …&source=Reuters            only from this source (may be repeated)
  …&article_id=ID             only from this article (may be repeated)
  …&collection=news           only from this collection (may be repeated)
  …&date_from=2022-10-01      only of this day or later
  …&date_to=2022-10-31        only of this day or earlier
  …&as_of=2022-10-15          as the articles stood at the end of that day
  …&turn=Who+denied+it?       an earlier question, for one that follows it up
                              (may be repeated, oldest first)
  …&compare=false             do not say where sources agree, and where not
  …&color                     the words that answer in bold
  …&T                         no colour, whatever else is said

The status is 200 whether something answers or not; the header
Quoteline-Verdict says which: answered, perhaps or unanswered. What cannot be
asked is 422, a key that is missing or not valid 401, not allowed 403, too much
429 and not now 503, the last two with Retry-After. With `curl --fail` those
make curl exit with 22. A key goes into a header, not into the address:

  curl -H "Authorization: Bearer $QUOTELINE_KEY" \\
    '{base}/ask?q=…'

The same as JSON, what there is, a citation checked, an article added:

  curl -H 'Accept: application/json' \\
    '{base}/ask?q=…'
  curl '{base}/articles'
  curl '{base}/citations/ID'
  curl -F file=@news.html '{base}/articles'

A script that asks, follows up (-c), filters and says by its exit status
whether something answers; it needs only curl (sh ask.sh --help):

  curl -O '{base}/ask.sh'
  sh ask.sh Who denied it?

Chat frontends: {base}/v1 (OpenAI-compatible)
Language models: {base}/mcp (MCP)
All addresses: {base}/docs
"""


@router.get("/", response_class=PlainTextResponse, responses=responses(414, 500, 503), summary="Help")
def get_help(base_url: BaseUrlDep) -> PlainTextResponse:
    """Return a short help for people with curl."""
    return PlainTextResponse(_HELP.format(base=base_url))


@router.get(
    "/ask.sh",
    response_class=Response,
    responses={
        200: {"description": "The script.", "content": {"text/x-shellscript": {"schema": {"type": "string"}}}},
        **responses(400, 414, 500, 503),
    },
    summary="A shell script that asks",
)
def get_script(base_url: BaseUrlDep) -> Response:
    """Return a shell script that needs only curl and asks this server."""
    script = files("service").joinpath("ask.sh").read_text(encoding="utf-8")
    # What a client calls this server must not become a command of the shell.
    if not re.fullmatch(r"https?://[\w.:\[\]-]+(/[\w./-]*)?", base_url, re.ASCII):
        raise HTTPException(400)
    return Response(script.replace("http://127.0.0.1:8000", base_url), media_type="text/x-shellscript; charset=utf-8")
