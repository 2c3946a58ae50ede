"""Which requests are those of a browser for a page that a person looks at."""

from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.types import Scope


def wants_page(scope: Scope) -> bool:
    """Whether `Accept` asks for HTML, as browsers do and what is typed in a terminal does not."""
    accept = Headers(scope=scope).get("accept", "").lower()
    page, text = accept.find("text/html"), accept.find("text/plain")
    return scope["method"] == "GET" and page >= 0 and (text < 0 or page < text)


def is_chat(scope: Scope) -> bool:
    """Whether a browser wants the chat."""
    return str(scope["path"]) in {"", "/"} and wants_page(scope)


def is_question(scope: Scope) -> bool:
    """Whether a browser wants the chat with the answer to a question in it; that takes what asking takes."""
    return is_chat(scope) and bool(parse_qs(scope["query_string"].decode("latin-1")).get("q"))


def is_view(scope: Scope) -> bool:
    """Whether the address is that of an article's page: `/articles/{id}/view`.

    The last slash is written as one: in `/articles/news%2Fview` it is the id's.
    """
    path: bytes = scope.get("raw_path") or scope["path"].encode()
    return scope["method"] == "GET" and path.endswith(b"/view") and path.count(b"/") > 2


def shows_refusals(scope: Scope) -> bool:
    """Whether a request that is refused gets a page that says so, and may ask for a key."""
    return is_question(scope) or (wants_page(scope) and is_view(scope))
