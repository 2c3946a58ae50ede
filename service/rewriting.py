"""A language model may rewrite the question, where one is configured; never an answer.

It speaks to any OpenAI-compatible server. What comes back is taken only if it is one question of sensible length, so
that the worst a model can do is to ask something else; the answer says how the question was understood.
"""

import json
import logging
import re
import time
from collections.abc import Sequence

import httpx

from service.conversation import Turn

logger = logging.getLogger(__name__)

# In seconds, for the connection and for the answer; a person waits meanwhile.
PATIENCE = 2.0
LONGEST_REWRITE = 300
# What a model is told of a conversation: turns, quotes of each, and code points of a text.
_TURNS, _QUOTES, _LONGEST_TEXT = 6, 2, 300
# Of an answer, in bytes; and for the model, in tokens.
_LONGEST_ANSWER = 100_000
_MOST_TOKENS = 100

_TASK = (
    "Rewrite the last question so that it can be understood without the conversation before it. Replace pronouns, fill "
    "in what was left out, and use the conversation's own words. If it can be understood by itself, repeat it. Do not "
    "answer it. Write the question in its own language, on one line, and nothing else."
)
_LABEL = re.compile(
    r"^\s*(?:rewritten question|standalone question|last question|question|rewrite)\s*:\s*", re.IGNORECASE
)
_QUOTES_AROUND = re.compile(r"^([\"'“‘*`]+)(.*?)([\"'”’*`]+)$")
_MARKUP = re.compile(r"[<>{}\[\]|\\]|https?://|```")


class Rewriter:
    """Asks an OpenAI-compatible server for a question that stands alone."""

    def __init__(self, url: str, model: str, key: str = "", *, patience: float = PATIENCE) -> None:
        """url: the server's base, such as http://localhost:11434/v1. key: sent as a bearer token where it is set."""
        self._model = model
        self._patience = patience
        self._complained = False
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        # No environment: a proxy set there for something else should not read conversations.
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/", headers=headers, timeout=httpx.Timeout(patience), trust_env=False
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def rewrite(self, question: str, turns: Sequence[Turn]) -> str | None:
        """Return `question` as one that stands alone; None where that failed. Raises nothing.

        Only the first failure is logged, without what was said.
        """
        if not turns:
            return None
        try:
            answer = self._ask(question, turns)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError, UnicodeError) as error:
            self._complain(error)
            return None
        return _question_in(answer)

    def _ask(self, question: str, turns: Sequence[Turn]) -> str:
        body = {
            "model": self._model,
            "messages": [{"role": "system", "content": _TASK}, {"role": "user", "content": _told(question, turns)}],
            "temperature": 0,
            "max_tokens": _MOST_TOKENS,
            "stream": False,
        }
        received = b""
        until = time.monotonic() + self._patience
        with self._client.stream("POST", "chat/completions", json=body) as response:
            response.raise_for_status()
            for piece in response.iter_bytes():
                received += piece
                if len(received) > _LONGEST_ANSWER:
                    raise ValueError(f"the answer has more than {_LONGEST_ANSWER:,} bytes")
                # httpx's own limit is for each piece: a server that sends one now and then would be waited for forever.
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer took too long")
        content = json.loads(received)["choices"][0]["message"]["content"]
        if not isinstance(content, str):
            raise TypeError("the answer holds no text")
        return content

    def _complain(self, error: Exception) -> None:
        if not self._complained:
            self._complained = True
            logger.warning(
                "the language model that rewrites questions failed (%s); they are understood without it, and this is "
                "said only once; check rewrite_url, rewrite_model and rewrite_key",
                type(error).__name__,
            )


def _told(question: str, turns: Sequence[Turn]) -> str:
    """Return what the model is told: the last turns, with their quotes, and the question."""
    lines = ["Conversation:"]
    for turn in turns[-_TURNS:]:
        lines.append(f"Question: {_one_line(turn.question)}")
        lines += [f"Found: {_one_line(quote)}" for quote in turn.quotes[:_QUOTES]]
    return "\n".join([*lines, "", f"Last question: {_one_line(question)}"])


def _one_line(text: str) -> str:
    # Half of a surrogate pair cannot be sent.
    return " ".join(text[:_LONGEST_TEXT].encode("utf-8", "replace").decode("utf-8").split())


def _question_in(answer: str) -> str | None:
    """Return the question on the first line of an answer; None where there is anything but one question."""
    lines = answer.strip()[: 2 * LONGEST_REWRITE].splitlines()
    line = _LABEL.sub("", lines[0]).strip() if lines else ""
    quoted = _QUOTES_AROUND.match(line)
    line = (quoted.group(2) if quoted else line).strip()
    one = line.endswith("?") and line.count("?") == 1
    if not one or len(line) > LONGEST_REWRITE or not line.isprintable() or _MARKUP.search(line):
        return None
    return line if any(character.isalpha() for character in line) else None
