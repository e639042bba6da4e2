"""A tested classifier in a file, so that what a check judged by can judge what is live: numbers and terms, no pickle.

`classifier.safetensors`: the terms of words and of characters with their weights, the coefficients, and digests of the
answers that were learnt from; in its metadata the facts. What is read scores to the last bit as what was written.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from trimtab.errors import InputError
from trimtab.evaluation.classifier import Classifier, Floats, Quality, features, why_unable
from trimtab.phrases import Phrase
from trimtab.statistics import Interval
from trimtab.storage.atomic import whole

NAME: Final = "classifier.safetensors"
MAX_BYTES: Final = 1 << 28
_FACTS: Final = "classifier"  # its entry in the metadata
_DIGEST: Final = 32  # bytes
_PARTS: Final = ("words", "characters")
_DTYPES: Final = {
    "words.terms": "uint8", "words.idf": "float64", "characters.terms": "uint8", "characters.idf": "float64",
    "coefficients": "float64", "intercept": "float64", "training": "uint8",
}  # fmt: skip


class _Facts(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    format: Literal[1]
    behavior: str = Field(min_length=1)
    data_digest: str
    C: float
    n_positive: int
    n_negative: int
    auroc: tuple[float, float, float] | None = Field(strict=False)  # with both ends of its interval
    n_unseen: tuple[int, int] = Field(strict=False)
    n_seen: int
    reason: Phrase | None


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A classifier, and how well it separates answers that it was not fitted to.

    Args:
        behavior: name of what it learnt.
        data_digest: of its examples.
        classifier: as fitted.
        quality: of this classifier.

    Example:
        >>> from pathlib import Path
        >>> from trimtab.evaluation import Classifier, HeldOut
        >>> warm, cold = [f"a warm day {i}" for i in range(20)], [f"a cold day {i}" for i in range(20)]
        >>> classifier = Classifier.fit(warm, cold, seed=0)
        >>> quality = classifier.quality([f"warm tea {i}" for i in range(20)], [f"cold tea {i}" for i in range(20)])
        >>> made = HeldOut("warmth", "5f2c", classifier, quality).save(Path("warmth"))
        >>> HeldOut.load(made).said
        "classifier of 'warmth': AUROC 1.00 [0.91, 1.00] on 40 unseen answers"
    """

    behavior: str
    data_digest: str
    classifier: Classifier
    quality: Quality

    @property
    def said(self) -> str:
        """What it is, and how well it separates, in words."""
        q = self.quality
        i = q.auroc
        auroc = "not measured" if i is None else f"{i.value:.2f} [{i.low:.2f}, {i.high:.2f}]"
        named = self.behavior if len(self.behavior) <= 100 else self.behavior[:99] + "…"
        return f"classifier of {named!r}: AUROC {auroc} on {q.n_positive + q.n_negative} unseen answers"

    def save(self, folder: Path) -> Path:
        """Write `classifier.safetensors` into a folder; it appears whole.

        Returns:
            The file.

        Raises:
            InputError: it cannot be written.
        """
        from safetensors.numpy import save_file

        facts = {_FACTS: _facts(self).model_dump_json()}
        file = folder / NAME
        try:
            with whole(file) as work:
                save_file(_tensors(self.classifier), work, metadata=facts)
        except OSError as error:
            raise InputError(
                f"cannot write {file}: {error.strerror}; give another folder", code="unwritable-file", field="folder"
            ) from error
        return file

    @staticmethod
    def load(place: Path) -> "HeldOut":
        """Read what `save` wrote.

        Args:
            place: the file, or its folder.

        Raises:
            InputError: there is none, or something else; says what.
        """
        file = place / NAME if place.is_dir() else place
        found, facts = _read(file)
        try:
            said = _Facts.model_validate_json(facts)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise _damaged(file, f"{'.'.join(map(str, first['loc'])) or 'facts'}: {first['msg']}") from error
        auroc = None if said.auroc is None else Interval(*said.auroc)
        if said.reason is None and (auroc is None or why_unable(auroc) is not None):
            raise _damaged(file, "its AUROC is not that of a classifier that can judge")
        quality = Quality(auroc, *said.n_unseen, said.n_seen, said.reason)
        training = frozenset(bytes(row) for row in found["training"])
        classifier = Classifier(said.C, said.n_positive, said.n_negative, _pipeline(file, found), training)
        return HeldOut(said.behavior, said.data_digest, classifier, quality)


def _facts(one: HeldOut) -> _Facts:
    c, q = one.classifier, one.quality
    auroc = None if q.auroc is None else (q.auroc.value, q.auroc.low, q.auroc.high)
    return _Facts(
        format=1, behavior=one.behavior, data_digest=one.data_digest, C=c.C, n_positive=c.n_positive,
        n_negative=c.n_negative, auroc=auroc, n_unseen=(q.n_positive, q.n_negative), n_seen=q.n_seen, reason=q.reason,
    )  # fmt: skip


def _tensors(classifier: Classifier) -> dict[str, NDArray[Any]]:
    union, regression = (step for _, step in classifier._pipeline.steps)
    tensors: dict[str, NDArray[Any]] = {
        "coefficients": np.ascontiguousarray(regression.coef_[0], dtype=np.float64),
        "intercept": np.asarray(regression.intercept_, dtype=np.float64),
        "training": np.frombuffer(b"".join(sorted(classifier._training)), dtype=np.uint8).reshape(-1, _DIGEST),
    }
    for part, (_, vectorizer) in zip(_PARTS, union.transformer_list, strict=True):
        terms = "\n".join(vectorizer.get_feature_names_out())  # no term holds a line break: gaps are blanks in them
        tensors[f"{part}.terms"] = np.frombuffer(terms.encode(), dtype=np.uint8)
        tensors[f"{part}.idf"] = np.asarray(vectorizer.idf_, dtype=np.float64)
    return tensors


def _read(file: Path) -> tuple[dict[str, NDArray[Any]], str]:
    """Its tensors, each of the right type, and its facts."""
    from safetensors import SafetensorError, safe_open

    try:
        if file.stat().st_size > MAX_BYTES:
            raise InputError(f"{file} has more than {MAX_BYTES:,} bytes", code="out-of-range", field="classifier")
        with safe_open(file, framework="np") as opened:
            facts = (opened.metadata() or {}).get(_FACTS, "")
            found = {name: opened.get_tensor(name) for name in opened.keys() if name in _DTYPES}  # noqa: SIM118
    except FileNotFoundError as error:
        raise InputError(
            f"there is no {file}: a check of texts writes it, if it generates texts for them to be scored and is not "
            "decided before",
            code="no-such-file",
            field="classifier",
        ) from error
    except (OSError, SafetensorError) as error:
        raise _damaged(file, str(error)) from error
    if not facts:
        raise InputError(
            f"{file} holds no classifier, but something else", code="wrong-file", field="classifier"
        )  # fmt: skip
    for name, dtype in _DTYPES.items():
        if name not in found or found[name].dtype != dtype or found[name].ndim != (2 if name == "training" else 1):
            raise _damaged(file, f"{name} is missing, or not what it should be")
        if dtype == "float64" and not np.isfinite(found[name]).all():
            raise _damaged(file, f"{name} is not finite")
    if found["training"].shape[1] != _DIGEST or found["intercept"].shape != (1,):
        raise _damaged(file, "training or intercept is of another shape")
    return found, facts


def _pipeline(file: Path, found: dict[str, NDArray[Any]]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    terms = [_terms(file, found, part) for part in _PARTS]
    union, coefficients = features(*terms), found["coefficients"]
    for part, (_, vectorizer) in zip(_PARTS, union.transformer_list, strict=True):
        vectorizer.idf_ = found[f"{part}.idf"]
    if len(coefficients) != sum(map(len, terms)):
        raise _damaged(file, f"{len(coefficients)} coefficients for {sum(map(len, terms))} terms")
    regression = LogisticRegression()
    regression.coef_, regression.intercept_ = coefficients.reshape(1, -1), found["intercept"]
    regression.classes_ = np.array([0, 1])
    return make_pipeline(union, regression)


def _terms(file: Path, found: dict[str, NDArray[Any]], part: str) -> list[str]:
    try:
        terms = found[f"{part}.terms"].tobytes().decode().split("\n")
    except UnicodeDecodeError as error:
        raise _damaged(file, f"{part}.terms is no text") from error
    weights: Floats = found[f"{part}.idf"]
    if len(set(terms)) != len(terms) or len(terms) != len(weights):
        raise _damaged(file, f"{part}: {len(weights)} weights for {len(set(terms))} different terms")
    return terms


def _damaged(file: Path, why: str) -> InputError:
    return InputError(f"{file} is damaged: {why}", code="damaged-file", field="classifier")
