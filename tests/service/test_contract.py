"""The short form of `python -m bench.contract`."""

import pytest

from bench.contract import PHASES, Caller, Phase, Report, pdf, run
from index.formats import read_document


@pytest.mark.parametrize(
    ("caller", "phases", "examples", "least"),
    [
        # All the bounds of the document, and requests that follow from one another.
        ("everyone", PHASES, 5, 1000),
        ("nobody", ("fuzzing",), 6, 50),
        ("asker", ("fuzzing",), 6, 50),
        ("limited", ("fuzzing", "stateful"), 10, 150),
    ],
)
def test_the_server_does_what_its_openapi_document_says(
    caller: Caller, phases: tuple[Phase, ...], examples: int, least: int
) -> None:
    report = Report()
    run(report, [caller], phases=phases, examples=examples, seed=1)
    assert report.failures == {}
    assert report.requests >= least
    if caller == "everyone":
        assert report.never_succeeded() == []


def test_the_pdf_that_is_sent_holds_its_text() -> None:
    assert read_document("application/pdf", pdf("The rocket rose."), None, "a", None).text.strip() == "The rocket rose."
