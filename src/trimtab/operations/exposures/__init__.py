"""WHO GOT WHAT: one record a request, written off the request's path."""

from trimtab.operations.exposures.exposure import Exposure as Exposure
from trimtab.operations.exposures.log import Count as Count
from trimtab.operations.exposures.log import ExposureLog as ExposureLog
from trimtab.operations.exposures.steered import SteeredAnswer as SteeredAnswer
from trimtab.operations.exposures.steered import SteeredAnswers as SteeredAnswers
from trimtab.operations.exposures.texts import TextCipher as TextCipher
from trimtab.operations.exposures.writer import ExposureWriter as ExposureWriter
