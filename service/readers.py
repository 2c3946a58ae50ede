"""What the settings say of reading: which models, and the calibration that says how far a reader is to be believed."""

import logging
from pathlib import Path

from index.confidence import Calibration
from index.corpus import Corpus
from index.entailment import Entailment, Thresholds, load_entailment
from index.errors import CalibrationError, InputError
from index.reading import Reader, load_reader
from service.answering import Answerer
from service.rewriting import Rewriter
from service.settings import Settings


def open_reader(settings: Settings) -> Reader | None:
    """Return the reader; None where there is none, or nothing to be read. Raises ReaderError and EncoderError."""
    return load_reader(settings.reader, settings.models_folder) if settings.read else None


def open_entailment(settings: Settings) -> Entailment | None:
    """Return the entailment model; None where there is none. Raises EntailmentError and EncoderError."""
    said_from = settings.entailed
    thresholds = None if said_from is None else Thresholds(said_from, said_from)
    return load_entailment(settings.entailment, settings.models_folder, thresholds=thresholds)


def open_answerer(
    corpus: Corpus, settings: Settings, reader: Reader | None, entailment: Entailment | None = None
) -> Answerer:
    """Return what answers from `corpus` as the settings say.

    Raises CalibrationError where the calibration that is set cannot be read, or was made for another reader. Where one
    merely lies in the data folder, that is a warning, and what is shipped is used.
    """
    return Answerer(
        corpus,
        reader=reader,
        calibration=_calibration(settings, reader),
        depth=settings.read,
        answered=settings.answered,
        perhaps=settings.perhaps,
        rewriter=_rewriter(settings),
        entailment=entailment,
        remember=settings.remember,
    )


def _rewriter(settings: Settings) -> Rewriter | None:
    if not settings.rewrite_url:
        return None
    if not settings.rewrite_model:
        raise InputError(
            f"a language model at {settings.rewrite_url} is to rewrite questions, and it is not said which; set "
            "QUOTELINE_REWRITE_MODEL to its name, or unset QUOTELINE_REWRITE_URL"
        )
    return Rewriter(settings.rewrite_url, settings.rewrite_model, settings.rewrite_key)


def _calibration(settings: Settings, reader: Reader | None) -> Calibration | None:
    """Return the calibration of one's own, None where there is none that fits."""
    file = settings.calibration_file
    if settings.calibration is None and not file.is_file():
        return None
    try:
        return _made_for(file, reader.name if reader and settings.read else "")
    except CalibrationError as error:
        if settings.calibration is not None:
            raise
        logging.getLogger("quoteline").warning("%s; until then the calibration that is shipped is used", error)
        return None


def _made_for(file: Path, reader: str) -> Calibration:
    """Return the calibration in `file`. Raises CalibrationError where it was made for another reader."""
    found = Calibration.load(file)
    if found.reader != reader:
        made_for, wanted = (f"the reader {one!r}" if one else "no reader" for one in (found.reader, reader))
        raise CalibrationError(
            f"{file} was made for {made_for}, but {wanted} is set; make it again with `quoteline calibrate`, set "
            "QUOTELINE_READER and QUOTELINE_READ as they were, or remove it"
        )
    return found
