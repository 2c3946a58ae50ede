"""Every error of Quoteline, in one tree.

    QuotelineError
    ├── InputError                 what was handed in cannot be used
    │   ├── FormatError            a file that is no article
    │   ├── QuestionError          a question that cannot be asked
    │   └── FilterError            a filter that makes no sense
    ├── ArticleNotFoundError       no article of that id
    ├── EncoderError               the encoder cannot be had or used
    │   └── WeightsError           weights other than those that were asked for
    ├── DimensionError             vectors of another width than the index's
    └── CorpusError                the corpus cannot be opened or changed
        ├── EncoderMismatchError   it was built with another encoder
        ├── CorpusVersionError     it was written by another version of Quoteline
        ├── CorpusBusyError        another process is changing it
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


class ArticleNotFoundError(QuotelineError):
    """The corpus holds no article of that id."""


class EncoderError(QuotelineError):
    """The encoder cannot be had or used."""


class WeightsError(EncoderError):
    """The weights found are not the weights that were asked for."""


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


class CorpusDamagedError(CorpusError):
    """What is on disk is not what was written."""
