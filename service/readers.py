"""What the settings say of reading: which reader, and the calibration that says how far it is to be believed."""

from index.confidence import Calibration
from index.corpus import Corpus
from index.errors import CalibrationError
from index.reading import Reader, load_reader
from service.answering import Answerer
from service.settings import Settings


def open_reader(settings: Settings) -> Reader | None:
    """Return the reader; None where there is none, or nothing to be read. Raises ReaderError and EncoderError."""
    return load_reader(settings.reader, settings.models_folder) if settings.read else None


def open_answerer(corpus: Corpus, settings: Settings, reader: Reader | None) -> Answerer:
    """Return what answers from `corpus` as the settings say.

    Raises CalibrationError where the calibration of one's own cannot be read, or was made for another reader.
    """
    return Answerer(
        corpus,
        reader=reader,
        calibration=_calibration(settings, reader),
        depth=settings.read,
        answered=settings.answered,
        perhaps=settings.perhaps,
    )


def _calibration(settings: Settings, reader: Reader | None) -> Calibration | None:
    """Return the calibration of one's own, None where there is none."""
    file = settings.calibration_file
    if settings.calibration is None and not file.is_file():
        return None
    found = Calibration.load(file)
    name = reader.name if reader and settings.read else ""
    if found.reader != name:
        made_for, wanted = (f"the reader {one!r}" if one else "no reader" for one in (found.reader, name))
        raise CalibrationError(
            f"{file} was made for {made_for}, but {wanted} is set; make it again with `quoteline calibrate`, set "
            "QUOTELINE_READER and QUOTELINE_READ as they were, or remove it"
        )
    return found
