import json

import pytest

from service.frontends import LONGEST_TITLE, Message, question_in, reply_to_frontend

QUESTION = "Did Iran deny sending drones to Russia?"
CHAT = f"USER: {QUESTION}\nASSISTANT: 1 source answers this:\n\n> Iran denies it. [[1]](https://example.org)"
# How Open WebUI's templates are built; the words between are of no consequence.
_FORM = "### Task:\n{task}\n### Guidelines:\n- Be brief.\n### Output:\nJSON format: {form}\n### Chat History:\n{chat}"
_HISTORY = f"<chat_history>\n{CHAT}\n</chat_history>"


def _of_open_webui(form: str, *, task: str = "Do something.", chat: str = _HISTORY) -> str:
    return _FORM.format(task=task, form=form, chat=chat)


def _reply(text: str, *, system: str | None = None) -> str | None:
    before = [Message("system", system)] if system is not None else []
    return reply_to_frontend([*before, Message("user", text)])


@pytest.mark.parametrize(
    ("form", "reply"),
    [
        ('{ "title": "your concise title here" }', {"title": "Did Iran deny sending drones to Russia"}),
        ('{ "tags": ["tag1", "tag2", "tag3"] }', {"tags": ["Iran", "Russia"]}),
        ('{ "follow_ups": ["Question 1?", "Question 2?"] }', {"follow_ups": []}),
        ('\n{\n  "queries": ["query1", "query2"]\n}', {"queries": []}),
        ('`{ "text": "<your_completion>" }`.', {"text": ""}),
        ('\n{\n    "prompt": "Your detailed description here."\n}', {"prompt": QUESTION}),
    ],
)
@pytest.mark.parametrize("begins", ["### Task:", "Aufgabe:"])
def test_tasks_of_open_webui_are_known_by_their_form_and_get_the_object_that_is_read(
    form: str, reply: dict[str, object], begins: str
) -> None:
    answer = _reply(_of_open_webui(form).replace("### Task:", begins))
    assert answer is not None
    assert json.loads(answer) == reply


def test_a_title_is_asked_for_before_there_is_an_answer() -> None:
    chat = f"<chat_history>\nUSER: {QUESTION}\nASSISTANT: \n</chat_history>"
    answer = _reply(_of_open_webui('{ "title": "" }', chat=chat))
    assert answer == '{"title": "Did Iran deny sending drones to Russia"}'


def test_a_title_is_cut_between_words() -> None:
    for question in ("When " + "did the minister say so " * 9, "x" * 200):
        chat = f"<chat_history>\nUSER: {question}\n</chat_history>"
        title = json.loads(_reply(_of_open_webui('{ "title": "" }', chat=chat)) or "")["title"]
        assert len(title) <= LONGEST_TITLE
        assert title.endswith("…")
        assert question.startswith(title.removesuffix("…"))


def test_a_chat_without_names_is_about_something_general() -> None:
    chat = "<chat_history>\nUSER: Who is it? Where?\nASSISTANT: Iran.\n</chat_history>"
    assert _reply(_of_open_webui('{ "tags": [] }', chat=chat)) == '{"tags": ["General"]}'


def test_a_task_of_open_webui_that_is_not_known_does_no_harm() -> None:
    assert _reply(_of_open_webui("text")) == "{}"


def test_what_a_chat_quotes_does_not_decide_what_is_wanted() -> None:
    chat = '<chat_history>\nUSER: { "tags": [] } or { "queries": [] }?\n</chat_history>'
    assert "title" in json.loads(_reply(_of_open_webui('{ "title": "" }', chat=chat)) or "")


@pytest.mark.parametrize(
    ("text", "system", "reply"),
    [
        (
            "Provide a concise, 5-word-or-less title for the conversation, using its same language, with no "
            f"punctuation. Only return the title itself.\n\nConversation:\nUser: {QUESTION}\nAI: It did.",
            None,
            "Did Iran deny sending drones to Russia",
        ),
        (
            "Analyze this conversation and provide:\n1. The detected language of the conversation\n2. A concise title "
            f"in the detected language (5 words or less)\n\nUser: {QUESTION}\nAI: It did.",
            None,
            '{"title": "Did Iran deny sending drones to Russia"}',
        ),
        (
            f"user: {QUESTION}\nassistant: It did.",
            "You are a professional conversation summarizer. Generate a concise title that captures the essence.",
            "Did Iran deny sending drones to Russia",
        ),
        (
            "Based on the chat history, give this conversation a name.\nKeep it short.\n\nHere's the conversation:\n\n"
            f"```\n{QUESTION}\n\n---------\n\nIt did.\n```\n\nName this conversation in 10 characters or less.",
            None,
            "Did Iran deny sending drones to Russia",
        ),
        (
            "Your task is to reflect the speaker's likely facial expression through a fitting emoji. Interpret.\n\n"
            "Message: ```Hello```",
            None,
            "💬",
        ),
        (
            f"Query: History:\nUSER: {QUESTION}\nQuery: {QUESTION}",
            'Available Tools: []\n\nReturn an empty array: \n   {\n     "tool_calls": []\n   }',
            '{"tool_calls": []}',
        ),
    ],
    ids=["LibreChat", "LibreChat, structured", "LobeChat", "Chatbox", "Open WebUI: emoji", "Open WebUI: tools"],
)
def test_titles_and_tools_of_other_frontends_are_answered_as_they_read_them(
    text: str, system: str | None, reply: str
) -> None:
    assert _reply(text, system=system) == reply


@pytest.mark.parametrize(
    "question",
    [
        "What does ### Task mean?",
        "### Task: what does it mean?",
        'Who wrote { "title": "x" }?',
        "What is <chat_history>?",
        "What is <chat_history>\nx\n</chat_history>",
        'Why does it say { "title": 1 } in <chat_history> x </chat_history>?',
        "Provide a concise, 5-word-or-less title for the conversation",
        "Analyze this conversation and provide: what?",
        "Which tools are available? Available Tools: none",
        "Generate a concise title summarizing the chat history.",
        "Based on the chat history, give this conversation a try: who is he?",
        "",
    ],
)
def test_a_question_is_never_taken_for_a_task(question: str) -> None:
    assert _reply(question, system="You are a helpful assistant.") is None
    assert question_in(question) == question


def test_only_the_last_question_decides() -> None:
    task = Message("user", _of_open_webui('{ "title": "" }'))
    assert reply_to_frontend([task, Message("assistant", "{}"), Message("user", QUESTION)]) is None
    assert reply_to_frontend([]) is None
    assert reply_to_frontend([Message("assistant", task.text)]) is None


@pytest.mark.parametrize(
    "wrapped",
    [
        f"### Task:\nRespond to the user query.\n<context>\n<source id='1'>x</source>\n</context>\n\n{QUESTION}\n",
        f"### Task:\nRespond.\n<context>\nx\n</context>\n<user_query>\n{QUESTION}\n</user_query>\n",
        "You have been provided with a set of responses from various models to the latest user query: "
        f'"{QUESTION}"\n\nYour task is to synthesize these responses into one.\n\nResponses from models: """x"""',
        f"  {QUESTION} ",
    ],
    ids=["files", "files, older", "answers of several models", "plain"],
)
def test_a_question_is_taken_out_of_what_a_frontend_wraps_around_it(wrapped: str) -> None:
    assert _reply(wrapped) is None
    assert question_in(wrapped) == QUESTION
