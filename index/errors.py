"""Every error of Quoteline, in one tree.

    QuotelineError
    ├── InputError                 what was handed in cannot be used
    │   ├── FormatError            a file that is no article
    │   ├── QuestionError          a question that cannot be asked
    │   ├── FilterError            a filter that makes no sense
    │   ├── MediaTypeError         a kind of file that is not read
    │   ├── TooLargeError          more than the limit for one document or one request
    │   └── FetchError             an address that nothing can be fetched from
    ├── ArticleNotFoundError       no article, or no version of it, of that id
    │   └── ArticleDeletedError    there was one
    ├── CitationNotFoundError      no citation of that id
    ├── ModelNotFoundError         no model of that name, of those that chat frontends are offered
    ├── CollectionError            an article is in another collection than was said
    ├── AccessError                who asks may not
    │   ├── NoKeyError             no key, or none that is valid
    │   └── ForbiddenError         a key, or an address, that does not allow this
    ├── OverloadError              too much at once; try again
    │   └── RateError              too much from one caller
    ├── EncoderError               the encoder cannot be had or used
    │   └── WeightsError           weights other than those that were asked for
    ├── ReaderError                the reader cannot be had or used
    │   ├── CalibrationError       a calibration that cannot be read or made, or is another reader's
    │   └── EntailmentError        the entailment model cannot be had or used
    ├── DimensionError             vectors of another width than the index's
    └── CorpusError                the corpus cannot be opened or changed
        ├── EncoderMismatchError   it was built with another encoder
        ├── CorpusVersionError     it was written by another version of Quoteline
        ├── CorpusBusyError        another process is changing it
        │   └── IndexUnreachableError   the server that searches it does not answer
        └── CorpusDamagedError     what is on disk is not what was written

A message says what happened, where, and what to do next. Errors of other libraries are translated where they arise.
"""


class QuotelineError(Exception):
    """The base of all that Quoteline raises on purpose."""


class InputError(QuotelineError):
    """What was handed in cannot be used; nothing was changed."""


class FormatError(InputError):
    """A file or a record that is no article; the message names it."""


class QuestionError(InputError):
    """A question that cannot be asked: empty, or too long."""


class FilterError(InputError):
    """A filter that makes no sense, such as dates that end before they begin."""


class MediaTypeError(InputError):
    """A kind of file that is not read."""


class TooLargeError(InputError):
    """More than the limit for one document, or for one request."""


class FetchError(InputError):
    """An address that nothing can be, or may be, fetched from."""


class ArticleNotFoundError(QuotelineError):
    """The corpus holds no article of that id, or not that version of it."""


class ArticleDeletedError(ArticleNotFoundError):
    """The article was deleted; nothing is left of it but that."""


class CitationNotFoundError(QuotelineError):
    """No citation has that id: it is none, or its span leaves the article."""


class ModelNotFoundError(QuotelineError):
    """No model of that name, or none that the caller may use."""


class CollectionError(QuotelineError):
    """The article is in another collection than was said."""


class AccessError(QuotelineError):
    """Who asks may not."""


class NoKeyError(AccessError):
    """No key was sent, or none that is valid."""


class ForbiddenError(AccessError):
    """The key, or the address it is sent from, does not allow this."""


class OverloadError(QuotelineError):
    """Too much at once. `retry_after`: after how many seconds to try again."""

    def __init__(self, message: str, *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateError(OverloadError):
    """Too much from one caller."""


class EncoderError(QuotelineError):
    """The encoder cannot be had or used."""


class WeightsError(EncoderError):
    """The weights found are not the weights that were asked for."""


class ReaderError(QuotelineError):
    """The reader cannot be had or used."""


class CalibrationError(ReaderError):
    """A calibration that cannot be read or made, or is another reader's."""


class EntailmentError(ReaderError):
    """The entailment model cannot be had or used."""


class DimensionError(QuotelineError):
    """Vectors of another width than the index's own."""


class CorpusError(QuotelineError):
    """The corpus cannot be opened or changed."""


class EncoderMismatchError(CorpusError):
    """The corpus was built with another encoder."""


class CorpusVersionError(CorpusError):
    """The corpus was written by another version of Quoteline."""


class CorpusBusyError(CorpusError):
    """Another process is changing the corpus."""


class IndexUnreachableError(CorpusBusyError):
    """The server that searches the corpus does not answer; nothing is lost."""


class CorpusDamagedError(CorpusError):
    """What is on disk is not what was written."""
