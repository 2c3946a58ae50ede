"""What chat frontends send on their own account: long prompts about the chat, to get a title, tags, suggestions.

They come to the address that questions come to, and nothing but their text marks them. Those that are known are
answered without asking the corpus, in the form that the frontend reads. Whoever runs Open WebUI can change its
templates, so they are known by their form, and not by their words.

Read from Open WebUI 0.12.4, LibreChat (@librechat/agents), LobeChat and Chatbox.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

LONGEST_TITLE = 60
MOST_TAGS = 3

# Open WebUI: the conversation between tags on lines of their own, and before it the key of the object that is wanted.
_HISTORY = re.compile(r"^<chat_history>[ \t]*\n(.*?)\n?^</chat_history>[ \t]*$", re.MULTILINE | re.DOTALL)
_WANTED = re.compile(r'\{\s*"(title|tags|follow_ups|queries|text|prompt)"\s*:')
_TASK = "### Task:"
_CONTEXT_END = "</context>"
_EMOJI = "Your task is to reflect the speaker's likely facial expression through a fitting emoji."
_TOOLS = "Available Tools:"
_MERGE = re.compile(
    r"You have been provided with a set of responses from various models to the latest user query: "
    r'"(.*?)"\s*\n\s*Your task is to synthesize these responses',
    re.DOTALL,
)

# The others want a bare title: how their prompts begin, and what stands before the conversation.
_TITLES: Mapping[str, str] = {
    "Provide a concise, 5-word-or-less title for the conversation": "Conversation:",
    "Please generate a concise title (max 40 characters) for a conversation that starts with:": "starts with:",
    "Based on the chat history, give this conversation a": "Here's the conversation:",
}
_TITLE_AND_LANGUAGE = "Analyze this conversation and provide:"
_TITLES_OF_SYSTEM = (
    "You are a professional conversation summarizer. Generate a concise title",
    "你是一名擅长会话的助理，你需要将用户的会话总结为",
)

# Who speaks, at the beginning of a line of a conversation.
_SPEAKER = re.compile(r"^(user|human|assistant|ai|system|tool)[ \t]*:[ \t]?", re.IGNORECASE | re.MULTILINE)
_ASKING = frozenset({"user", "human"})
# Chatbox's conversations, which do not say who speaks.
_FENCED = re.compile(r"```\s*\n(.*?)(?:\n\s*-{9,}\s*\n|\n?```)", re.DOTALL)
# A word in capitals that does not begin a sentence.
_NAME = re.compile(r"(?<=[^\s.!?:]\s)[^\W\d_a-z][\w’'-]+")


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a chat, as it was sent. role: user, assistant, system, or another."""

    role: str
    text: str


def reply_to_frontend(messages: Sequence[Message]) -> str | None:
    """Return what answers a request that a frontend sends on its own account; None where a person asks."""
    asked = next((message.text.strip() for message in reversed(messages) if message.role == "user"), "")
    system = next((message.text.strip() for message in messages if message.role in ("system", "developer")), "")
    if system.startswith(_TOOLS) and '"tool_calls"' in system:
        return json.dumps({"tool_calls": []})
    if system.startswith(_TITLES_OF_SYSTEM):
        return _title(asked)
    if asked.startswith(_EMOJI):
        return "💬"
    if asked.startswith(_TITLE_AND_LANGUAGE) and "title" in asked:
        return _as_json({"title": _title(asked)})
    for beginning, conversation in _TITLES.items():
        if asked.startswith(beginning) and conversation in asked:
            return _title(asked.partition(conversation)[2])
    return _reply_to_open_webui(asked)


def question_in(text: str) -> str:
    """Return what a person asks in a message, without what a frontend wraps around it."""
    text = text.strip()
    if merging := _MERGE.match(text):
        return merging[1].strip()
    # Files that are attached to a chat; the question stands behind them.
    if text.startswith(_TASK) and _CONTEXT_END in text:
        question = text.rpartition(_CONTEXT_END)[2]
        return re.sub(r"</?user_query>", "", question).strip() or text
    return text


def _reply_to_open_webui(asked: str) -> str | None:
    history = _HISTORY.search(asked)
    if history is None:
        return None
    wanted = _WANTED.search(asked, 0, history.start())
    if wanted is None:
        # A task of a newer version, or a template of somebody's own; a question does not look like this.
        return "{}" if asked.startswith(_TASK) else None
    return _as_json(_OBJECTS[wanted[1]](history[1]))


_OBJECTS: Mapping[str, Callable[[str], dict[str, object]]] = {
    "title": lambda history: {"title": _title(history)},
    "tags": lambda history: {"tags": _tags(history)},
    "follow_ups": lambda _: {"follow_ups": []},
    "queries": lambda _: {"queries": []},
    "text": lambda _: {"text": ""},
    "prompt": lambda history: {"prompt": next(reversed([*_questions(history)]), "")},
}


def _title(conversation: str) -> str:
    """Return the first question, cut between words."""
    first = next(_questions(conversation), "")
    words = " ".join(first.split()).rstrip("?!. ")
    if len(words) <= LONGEST_TITLE:
        return words
    whole, _, _ = words[:LONGEST_TITLE].rpartition(" ")
    return f"{whole or words[: LONGEST_TITLE - 1]}…"


def _tags(conversation: str) -> list[str]:
    """Return the names in the questions; General where there are none."""
    names = [name for question in _questions(conversation) for name in _NAME.findall(" ".join(question.split()))]
    return list(dict.fromkeys(names))[:MOST_TAGS] or ["General"]


def _questions(conversation: str) -> Iterator[str]:
    """Yield what was asked in a conversation that is written out; all of it where nobody is named in it."""
    speakers = [*_SPEAKER.finditer(conversation)]
    if not speakers:
        fenced = _FENCED.search(conversation)
        yield (fenced[1] if fenced else conversation).strip()
        return
    ends = [speaker.start() for speaker in speakers[1:]] + [len(conversation)]
    for speaker, end in zip(speakers, ends, strict=True):
        if speaker[1].lower() in _ASKING:
            yield conversation[speaker.end() : end].strip()


def _as_json(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False)
