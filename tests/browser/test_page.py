import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, Route, expect

from index.articles import Article, Span
from service.answering import Answer
from service.keys import KeyStore
from service.links import article_link
from service.remarks import period
from service.webpage import Asked, Thresholds, chat_page
from tests.browser.conftest import ARTICLES, HOSTILE_TEXT, LONG_TEXT, serving
from tests.service.answers import CONTESTED, TWO_NAMES, told_with

pytestmark = pytest.mark.browser

Open = Callable[..., Page]
QUESTION = "When was the lighthouse built by Anna Berg?"
SENTENCE = "The lighthouse was built in 1871 🗼 by Anna Berg."
PHONE: dict[str, Any] = {"viewport": {"width": 360, "height": 740}}


def ask(page: Page, question: str) -> None:
    """Ask, and wait for the answer."""
    before = page.locator(".verdict").count()
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_have_count(before + 1)


def in_view(page: Page, selector: str) -> bool:
    """Whether an element can be seen: what is uppermost at its middle is it, or lies in it."""
    return bool(
        page.locator(selector).first.evaluate(
            """one => {
                const box = one.getClientRects()[0];
                const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
                if (x < 0 || y < 0 || x > innerWidth || y > innerHeight) return false;
                return one.contains(document.elementFromPoint(x, y));
            }"""
        )
    )


# Asking


def test_a_question_is_answered_with_cited_sentences_by_source(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    expect(page.locator(".verdict.answered")).to_have_text("2 sources answer this")
    first = page.locator(".source").first
    expect(first.locator(".title")).to_have_text("The lighthouse")
    expect(first.locator(".about")).to_contain_text("Coast Weekly")
    expect(first.locator(".about time")).to_have_text("4 May 2023")
    expect(first.locator(".words").first).to_have_text(SENTENCE)
    expect(first.locator(".words strong").first).to_have_text(SENTENCE.removesuffix("."))
    expect(first.locator(".mark").first).to_have_text("[1]")
    expect(page.get_by_role("status")).to_contain_text(SENTENCE)


def test_what_nothing_answers_is_said_and_what_is_near_is_called_that(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, "Which cheese won a prize in Lisbon?")
    expect(page.locator(".verdict.unanswered")).to_contain_text("Nothing here answers that")
    expect(page.locator("h3.nearest")).to_have_text("Nearest, but not an answer")


def test_a_follow_up_is_sent_with_the_turns_before_it_and_both_stay(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    with page.expect_request("**/ask") as sent:
        ask(page, "And who built the harbour?")
    body = sent.value.post_data_json
    assert body is not None
    assert body["turns"] == [
        {
            "question": QUESTION,
            "quotes": page.locator(".turn").first.locator(".words").all_text_contents(),
        }
    ]
    expect(page.locator(".turn")).to_have_count(2)
    expect(page.locator(".turn").nth(1)).to_contain_text("Anna Berg also built the harbour.")


def test_a_conversation_is_there_again_when_one_comes_back_and_ends_with_a_new_one(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    ask(page, "And who built the harbour?")
    page.goto(f"{service}articles/harbour/view")
    page.go_back()
    expect(page.locator(".question")).to_have_text([QUESTION, "And who built the harbour?"])
    page.get_by_role("link", name="New").click()
    expect(page.locator(".question")).to_have_count(0)
    with page.expect_request("**/ask") as sent:
        ask(page, QUESTION)
    body = sent.value.post_data_json
    assert body is not None
    assert body["turns"] == []


def test_what_a_question_was_understood_as_is_shown(service: str, opened: Open) -> None:
    page = opened("about:blank")

    def understood(route: Route) -> None:
        answer = route.fetch().json()
        route.fulfill(json={**answer, "understood": "Who built the harbour of <b>Bergen</b>?"})

    page.route("**/ask", understood)
    page.goto(service)
    ask(page, "And the harbour?")
    expect(page.locator(".understood")).to_have_text("Understood as Who built the harbour of <b>Bergen</b>?")
    assert page.url.endswith(f"?q={quote('Who built the harbour of <b>Bergen</b>?', safe='').replace('%20', '+')}")


def test_filters_are_sent_and_stand_in_the_link(service: str, opened: Open) -> None:
    page = opened(service)
    page.get_by_text("Filters").click()
    page.get_by_label("Source", exact=True).fill("Harbour Post")
    expect(page.locator("#filters-said")).to_have_text(" · 1 set")
    ask(page, "What did Anna Berg build?")
    assert set(page.locator(".title").all_text_contents()) == {"The harbour"}
    assert page.url.endswith("?q=What+did+Anna+Berg+build%3F&source=Harbour+Post")
    page.reload()
    assert set(page.locator(".title").all_text_contents()) == {"The harbour"}
    expect(page.get_by_label("Source", exact=True)).to_have_value("Harbour Post")


def test_without_a_script_a_question_is_answered_and_its_citation_opens_the_article(service: str, opened: Open) -> None:
    page = opened(service, java_script_enabled=False)
    page.get_by_label("Your question").fill(QUESTION)
    page.get_by_role("button", name="Ask").click()
    page.wait_for_url("**/?q=When+was+the+lighthouse*")
    expect(page.locator(".words").first).to_have_text(SENTENCE)
    page.locator(".mark").first.click()
    page.wait_for_url("**/articles/news%2Flighthouse/view?**#cited")
    expect(page.locator("mark")).to_have_text(SENTENCE)
    box = page.locator("mark").bounding_box()
    assert box is not None
    assert 0 < box["y"] < 900


def test_what_the_script_makes_of_an_answer_reads_as_the_server_wrote_it(service: str, opened: Open) -> None:
    address = f"{service}?q={quote(QUESTION)}"
    plain, lively = opened(address, java_script_enabled=False), opened(address)
    expect(lively.get_by_role("button", name="Copy link")).to_be_visible()
    for selector in (".question", ".verdict", ".about", "blockquote", ".weaker summary"):
        written = plain.locator(selector).all_text_contents()
        assert written
        assert lively.locator(selector).all_text_contents() == written
    links = "one => one.map(each => each.href)"
    assert lively.locator(".mark").evaluate_all(links) == plain.locator(".mark").evaluate_all(links)


def test_a_quote_is_copied_with_its_source_and_link(service: str, opened: Open) -> None:
    page = opened(service, permissions=["clipboard-read", "clipboard-write"])
    ask(page, QUESTION)
    page.get_by_role("button", name="Copy quote 1 with its source").click()
    expect(page.get_by_role("status")).to_have_text("The quote is copied.")
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[:2] == [f"“{SENTENCE}”", "The lighthouse · Coast Weekly · 4 May 2023"]
    page.goto(copied[2])
    expect(page.locator("mark")).to_have_text(SENTENCE)


def test_a_service_that_is_gone_is_said_and_the_question_can_be_tried_again(service: str, opened: Open) -> None:
    page = opened(service)
    page.route("**/ask", lambda route: route.abort())
    page.get_by_label("Your question").fill(QUESTION)
    page.keyboard.press("Enter")
    expect(page.locator(".turn [role=alert]")).to_contain_text("cannot be reached")
    page.unroute("**/ask")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".words").first).to_have_text(SENTENCE)


# The article beside the answer


def test_a_citation_opens_the_article_at_the_marked_sentence(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    page.locator(".mark").first.click()
    expect(page.get_by_role("dialog").locator("mark")).to_have_text(SENTENCE)
    assert page.locator("dialog .text").text_content() == LONG_TEXT
    assert in_view(page, "dialog mark")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.locator(".words").first.click()
    expect(page.get_by_role("dialog").locator("mark")).to_have_text(SENTENCE)


def test_the_panel_leafs_through_the_citations(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, "What did Anna Berg build?")
    quotes = page.locator(".words").all_text_contents()
    page.locator(".mark").first.click()
    expect(page.locator("dialog mark")).to_have_text(quotes[0])
    page.get_by_role("button", name="Next citation").click()
    expect(page.locator("dialog mark")).to_have_text(quotes[1])
    page.get_by_role("button", name="Citation before").click()
    expect(page.locator("dialog mark")).to_have_text(quotes[0])


def test_the_keyboard_is_enough(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    expect(page.get_by_label("Your question")).to_be_focused()
    expect(page.get_by_label("Your question")).to_have_value("")
    page.locator(".mark").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("dialog mark")).to_be_focused()
    for _ in range(8):
        page.keyboard.press("Tab")
        # Past the last thing the browser's own window has the focus, and the page's body stands for it.
        assert page.evaluate("document.activeElement === document.body || !!document.activeElement.closest('dialog')")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(page.locator(".mark").first).to_be_focused()


def test_the_way_back_closes_the_panel_and_not_the_page(service: str, opened: Open) -> None:
    page = opened(service, **PHONE)
    ask(page, QUESTION)
    address = page.url
    page.locator(".mark").first.click()
    expect(page.locator("dialog mark")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert page.url == address
    expect(page.locator(".words").first).to_have_text(SENTENCE)


# What sources say beside each other


def show(opened: Open, service: str, answer: Answer, **options: Any) -> Page:  # noqa: ANN401 - a browser's options
    """Open the page of an answer that was made by hand; what it is made of is the service's own."""
    page = opened("about:blank", **options)
    asked = Asked(answer.question)
    thresholds = Thresholds(0.5, 0.2)
    html = chat_page(asked, answer, thresholds=thresholds, root="./", base_url=service.rstrip("/"))
    page.route(re.compile(re.escape(service) + r"\?"), lambda route: route.fulfill(body=html, content_type="text/html"))
    page.goto(f"{service}?{asked.query(answer.question)}")
    if options.get("java_script_enabled", True):
        expect(page.get_by_role("button", name="Copy link")).to_be_visible()
    return page


@pytest.mark.parametrize("answer", [CONTESTED, TWO_NAMES, told_with(HOSTILE_TEXT)], ids=["sides", "names", "hostile"])
def test_a_compared_answer_reads_the_same_with_a_script_and_without(service: str, opened: Open, answer: Answer) -> None:
    with_script, without = (show(opened, service, answer, java_script_enabled=which) for which in (True, False))
    for page in (with_script, without):
        _check_plain_words(page, answer)
    # What only one of them has is to be pressed.
    told = [
        page.locator(".turn").evaluate(
            """turn => {
                const copy = turn.cloneNode(true);
                copy.querySelectorAll(":scope > .acts, button").forEach((one) => one.remove());
                return copy.textContent.replace(/\\s+/gu, "");
            }"""
        )
        for page in (with_script, without)
    ]
    assert told[0] == told[1]
    assert with_script.locator(".turn h3, .turn h4").count() == without.locator(".turn h3, .turn h4").count()
    titles = [
        page.locator(".remark [title]").evaluate_all("all => all.map(one => one.title)")
        for page in (with_script, without)
    ]
    assert titles[0] == titles[1]


def _check_plain_words(page: Page, answer: Answer) -> None:
    assert answer.comparison is not None
    expect(page.locator(".compared")).to_have_text(answer.comparison.summary)
    assert page.locator(".turn img, .turn script, .turn mark, .turn b").count() == 0
    assert "owned" not in page.title()


def test_what_differs_leads_to_the_quote(service: str, opened: Open) -> None:
    page = show(opened, service, CONTESTED, viewport={"width": 360, "height": 400}, reduced_motion="reduce")
    page.locator(".differences").get_by_role("link", name="[4]").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#cited-1-4")).to_be_in_viewport()
    assert in_view(page, "#cited-1-4 .mark")
    # A reload shows the same conversation, though the address leads to a quote in it.
    page.reload()
    expect(page.locator(".side")).to_have_count(3)


def test_other_places_are_unfolded_with_the_keyboard_and_lead_to_them(service: str, opened: Open) -> None:
    page = show(opened, service, CONTESTED)
    expect(page.get_by_role("link", name="No weapons for Russia")).to_have_count(0)
    page.locator(".places summary").focus()
    page.keyboard.press("Enter")
    link = page.get_by_role("link", name="No weapons for Russia")
    expect(link).to_have_attribute("href", f"{service}articles/guardian/view?version=1&start=0&end=9#cited")


def test_the_script_writes_days_as_the_server_does(service: str, opened: Open) -> None:
    starts = [
        dt.date(2021, 12, 31),
        dt.date(2022, 1, 1),
        dt.date(2022, 9, 1),
        dt.date(2024, 2, 1),
        dt.date(2024, 2, 28),
    ]
    ends = [
        dt.date(2022, 1, 1),
        dt.date(2022, 12, 31),
        dt.date(2022, 9, 30),
        dt.date(2024, 2, 29),
        dt.date(2024, 3, 31),
    ]
    pairs = [(first, last) for first in starts for last in [*starts, *ends] if first <= last]
    page = opened(service)
    written = page.evaluate(
        """async (pairs) => {
            const { period } = await import("./page/remarks.js");
            return pairs.map(([first, last]) => period(first, last));
        }""",
        [[first.isoformat(), last.isoformat()] for first, last in pairs],
    )
    assert written == [period(first, last) for first, last in pairs]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {}], ids=["phone", "desktop"])
def test_axe_finds_nothing_serious_where_answers_are_compared(
    service: str, opened: Open, theme: str, size: dict[str, Any]
) -> None:
    page = show(opened, service, CONTESTED, color_scheme=theme, reduced_motion="reduce", **size)
    page.locator(".places summary").click()
    _check_access(page)
    _check_width(page)


def test_no_words_of_an_article_are_wider_than_a_phone(service: str, opened: Open) -> None:
    narrow = {"viewport": {"width": 320, "height": 740}, "reduced_motion": "reduce"}
    page = show(opened, service, told_with(60 * "Donaudampfschifffahrtsgesellschaft"), **narrow)
    page.locator(".places summary").first.click()
    _check_width(page)


def test_who_compares_nothing_goes_on_so(service: str, opened: Open) -> None:
    page = opened(f"{service}?q={quote(QUESTION)}&compare=false")
    with page.expect_request("**/ask") as sent:
        ask(page, "And who built the harbour?")
    body = sent.value.post_data_json
    assert body is not None
    assert body["compare"] is False
    expect(page.locator(".turn")).to_have_count(2)
    assert page.url.endswith("&compare=false")


# Links


def test_a_text_fragment_opens_the_right_one_of_two_equal_sentences(twice: tuple[str, str], opened: Open) -> None:
    address, text = twice
    sentence = "Nobody came to the island."
    first = text.index(sentence)
    for start, paragraph in ((first, 20), (text.index(sentence, first + 1), 120)):
        article = Article(id="island", text=text, body=Span(0, len(text)), url=address)
        link = article_link(article, Span(start, start + len(sentence)), "")
        page = opened(link)
        page.wait_for_function("scrollY > 0")
        seen = page.locator("p").evaluate_all(
            """all => all.map((one, at) => [at, one.getBoundingClientRect()])
                .filter(([, box]) => box.top >= 0 && box.bottom <= innerHeight).map(([at]) => at)"""
        )
        assert paragraph in seen
        assert 140 - paragraph not in seen


def test_the_page_of_an_article_opens_at_the_cited_sentence(service: str, opened: Open) -> None:
    start = LONG_TEXT.index(SENTENCE)
    page = opened(article_link(ARTICLES[0], Span(start, start + len(SENTENCE)), service.rstrip("/"), version=1))
    expect(page.locator("mark")).to_have_text(SENTENCE)
    assert in_view(page, "mark")
    assert page.locator(".text").text_content() == LONG_TEXT


# What articles may not do


def test_an_article_that_wants_out_is_plain_text_everywhere(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, "What happened to the ferry and the ferry master?")
    ask(page, "Does the ferry float, and who said to ignore instructions?")
    assert page.locator(".words").count() >= 6
    page.locator(".mark").first.click()
    expect(page.locator("dialog mark")).to_have_count(1)
    assert page.locator("dialog .text").text_content() == HOSTILE_TEXT
    _check_plain(page)
    expect(page.locator("dialog mark")).to_be_visible()
    for address in (f"{service}articles/evil/view?start=0&end=23#cited", f"{service}?q=the+ferry"):
        _check_plain(opened(address))
        _check_plain(opened(address, java_script_enabled=False))


def _check_plain(page: Page) -> None:
    assert page.locator("img, iframe, object, script:not([src]):not([type='application/json'])").count() == 0
    assert "owned" not in re.sub(r"</title>.*</script>", "", page.title())
    links = page.locator("a").evaluate_all("all => all.map(one => one.href)")
    assert [
        link for link in links if not link.startswith(page.url.split("/articles")[0].split("?")[0].rstrip("/"))
    ] == []


# For everybody


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, {}], ids=["phone", "desktop"])
def test_axe_finds_nothing_serious(service: str, opened: Open, theme: str, size: dict[str, Any]) -> None:
    page = opened(service, color_scheme=theme, reduced_motion="reduce", **size)
    _check_access(page)
    ask(page, QUESTION)
    ask(page, "Which cheese won a prize in Lisbon?")
    page.get_by_text("Filters").click()
    _check_access(page)
    page.locator(".mark").first.click()
    expect(page.locator("dialog mark")).to_be_visible()
    _check_access(page)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Add an article").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    _check_access(page)
    page.goto(f"{service}articles/harbour/view?start=0&end=33#cited")
    _check_access(page)
    page.goto(f"{service}articles/nobody/view")
    _check_access(page)


def _check_access(page: Page) -> None:
    found = Axe().run(page).response["violations"]
    serious = [
        (one["id"], [node["target"] for node in one["nodes"]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
    assert serious == []


@pytest.mark.parametrize("width", [320, 360, 390])
def test_nothing_is_wider_than_a_phone(service: str, opened: Open, width: int) -> None:
    page = opened(service, viewport={"width": width, "height": 740}, reduced_motion="reduce")
    _check_width(page)
    ask(page, QUESTION)
    ask(page, "Who is " + 60 * "Donaudampfschifffahrtsgesellschaft" + "?")
    page.get_by_text("Filters").click()
    _check_width(page)
    page.locator(".mark").first.click()
    expect(page.locator("dialog mark")).to_be_visible()
    box = page.get_by_role("dialog").bounding_box()
    assert box is not None
    assert (box["x"], box["width"], box["height"]) == (0, width, 740)
    assert page.locator("dialog .body").evaluate("one => one.scrollWidth <= one.clientWidth")
    page.goto(f"{service}articles/evil/view")
    _check_width(page)


def _check_width(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    wide = "all => all.filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML)"
    assert page.locator("input, button, summary, blockquote, .title").evaluate_all(wide) == []


def test_nothing_moves_for_who_wants_nothing_to_move(service: str, opened: Open) -> None:
    for wish, moves in (("reduce", False), ("no-preference", True)):
        page = opened(service, reduced_motion=wish)
        ask(page, QUESTION)
        page.locator(".mark").first.click()
        moving = page.locator("dialog, .turn").evaluate_all(
            "all => all.map(one => getComputedStyle(one).animationName)"
        )
        assert any(name != "none" for name in moving) == moves


def test_the_theme_follows_the_system_until_one_is_chosen_and_then_stays(service: str, opened: Open) -> None:
    page = opened(service, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    expect(page.get_by_role("button", name="Dark")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Dark").click()
    light = page.evaluate(colour)
    assert light != dark
    page.goto(f"{service}articles/harbour/view")
    assert page.evaluate(colour) == light


def test_a_print_has_the_answer_and_nothing_to_press(service: str, opened: Open) -> None:
    page = opened(service)
    ask(page, QUESTION)
    page.emulate_media(media="print")
    expect(page.locator(".words").first).to_be_visible()
    assert page.locator("button:visible, input:visible").count() == 0


# Adding, and keys


def test_an_article_is_added_by_paste_and_by_drop_and_then_cited(tmp_path: Path, opened: Open) -> None:
    with serving(tmp_path, []) as service:
        page = opened(service)
        expect(page.locator("#corpus")).to_contain_text("There are no articles yet.")
        page.locator("#corpus").get_by_role("button", name="Add an article").click()
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("dialog .trouble")).to_have_text("Paste a text, or choose a file.")
        page.get_by_label("Text", exact=True).fill("The bridge was painted green in March.")
        page.get_by_text("Title, source, date").click()
        page.get_by_label("Title", exact=True).fill("The <i>bridge</i>")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator(".results")).to_have_text("The <i>bridge</i>: added, 1 sentence")
        page.get_by_role("button", name="Close").click()
        page.evaluate(
            """() => {
                const files = new DataTransfer();
                files.items.add(new File(["The tower leans to the west."], "tower.txt", { type: "text/plain" }));
                files.items.add(new File([""], "empty.txt", { type: "text/plain" }));
                const given = { dataTransfer: files, bubbles: true, cancelable: true };
                document.body.dispatchEvent(new DragEvent("drop", given));
            }"""
        )
        expect(page.locator(".chosen")).to_have_text("tower.txt, empty.txt")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator(".results li").first).to_have_text("tower.txt: added, 1 sentence")
        expect(page.locator(".results .trouble")).to_contain_text("empty.txt")
        page.get_by_role("button", name="Close").click()
        expect(page.locator("#corpus")).to_have_text("2 articles")
        ask(page, "Where does the tower lean?")
        expect(page.locator(".words").first).to_have_text("The tower leans to the west.")


def test_where_a_key_is_needed_the_page_asks_for_it_and_keeps_it_for_the_tab(tmp_path: Path, opened: Open) -> None:
    token = KeyStore(tmp_path / "keys.json").create("reader", ["ask"])[1]
    with serving(tmp_path, ARTICLES) as service:
        page = opened(service)
        page.get_by_label("Your key").fill("ql_wrong")
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#corpus [role=alert]")).to_contain_text("not valid")
        page.get_by_label("Your key").fill(token)
        page.get_by_role("button", name="Use it").click()
        expect(page.locator("#corpus")).to_have_text("3 articles")
        ask(page, QUESTION)
        expect(page.locator(".words").first).to_have_text(SENTENCE)
        page.reload()
        expect(page.locator(".words").first).to_have_text(SENTENCE)
        page.get_by_role("button", name="Add an article").click()
        page.get_by_label("Text", exact=True).fill("The bridge was painted green.")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator(".results .trouble")).to_contain_text("this one may ask")

        start = LONG_TEXT.index(SENTENCE)
        link = article_link(ARTICLES[0], Span(start, start + len(SENTENCE)), service.rstrip("/"), version=1)
        other = opened(link)
        assert SENTENCE not in other.content()
        other.get_by_label("Your key").fill(token)
        other.get_by_role("button", name="Use it").click()
        expect(other.locator("mark")).to_have_text(SENTENCE)
        assert in_view(other, "mark")
        assert other.locator(".text").text_content() == LONG_TEXT

        asked = opened(f"{service}?q={quote(QUESTION)}")
        asked.get_by_label("Your key").fill(token)
        asked.get_by_role("button", name="Use it").click()
        expect(asked.locator(".words").first).to_have_text(SENTENCE)
