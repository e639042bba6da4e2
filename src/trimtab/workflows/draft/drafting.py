"""Openings, answers of both sides, weeding, and the file."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np

from trimtab.behaviors import Behavior, Example, Finding, lint, load, normalise
from trimtab.behaviors.likeness import jaccard
from trimtab.behaviors.words import pieces
from trimtab.errors import InputError, TrimtabError
from trimtab.experiment.numbers import is_whole
from trimtab.experiment.progress import Progress, Silent
from trimtab.storage.answers import AnswerJournal
from trimtab.storage.atomic import fault, output_path, whole
from trimtab.workflows.draft import asking
from trimtab.workflows.draft.writers import Writer

_CHUNK = 16  # openings answered as one step
_SPARE = 1.2  # openings asked for, per row that is missing
_ROUNDS = 8  # of openings, before it is left at fewer rows
_ANSWER_TOKENS, _OPENING_TOKENS, _INSTRUCTION_TOKENS = 120, 50 * asking.PER_REQUEST, 150
_REPEATED = 0.8  # share of words that a row has in common with an earlier one
_TRIES = 3  # for the two instructions

Sides = tuple[str, str]  # positive, negative
Row = tuple[str, str, str]  # opening, positive, negative


@dataclass(frozen=True)
class Drafted:
    """What came of it.

    Args:
        behavior: as it is read from the file.
        file: where it stands.
        findings: lint's, on the whole.
        n_answered: openings that were answered from both sides.
        dropped: rows left out, by reason.
    """

    behavior: Behavior
    file: Path
    findings: Sequence[Finding]
    n_answered: int
    dropped: Mapping[str, int]


def draft(
    writer: Writer,
    name: str,
    description: str,
    *,
    file: str | Path,
    n: int = 200,
    seed: int = 0,
    instructions: Sides | None = None,
    progress: Progress | None = None,
) -> Drafted:
    """Contrast examples for a behavior that somebody has in mind, written by a chat model, to be edited by a person.

    The writer invents messages to an assistant, and answers each under two instructions, one to show the behavior and
    one to do the opposite. Incomplete, equal and repeated rows are dropped. What comes is kept in `FILE.part`; a second
    call with the same arguments goes on from there.

    Example:
        >>> import trimtab as tt
        >>> from trimtab.workflows.draft import LoadedWriter
        >>> writer = LoadedWriter(tt.load("smollm2"))
        >>> drafted = tt.draft(writer, "rhymes", "speaks in rhymes", file="rhymes.jsonl", n=50)  # doctest: +SKIP

    Args:
        writer: see `EndpointWriter` and `LoadedWriter`.
        name: of the behavior.
        description: what the positive side does, in a few words, such as "speaks in rhymes".
        file: a JSONL file that does not exist yet.
        n: rows wanted.
        seed: of subjects, lengths and sampling.
        instructions: for the positive and the negative side; None asks the writer for them.
        progress: is told of finished requests.

    Raises:
        InputError: a name or description that cannot be used, an existing file, a refusing server.
        TrimtabError: the writer gave nothing usable.
    """
    place = writable(file)
    description = " ".join(description.split())
    _check_arguments(name, description, n, seed, instructions)
    key = {
        "writer": writer.identity, "name": name, "description": description, "n": n, "seed": seed,
        "instructions": list(instructions) if instructions else None,
    }  # fmt: skip
    about = {"date": datetime.now(UTC).date().isoformat()}
    journal = AnswerJournal(place.with_name(f"{place.name}.part"), key, about)
    work = _Interview(writer, journal, description, seed, n, progress or Silent())
    chosen = instructions or work.instructions()
    rows = work.rows(chosen)
    provenance = {"writer": writer.identity, "date": journal.about["date"], "seed": seed}
    _write(place, name, description, chosen, rows, provenance)
    journal.remove()
    behavior = load(place)
    return Drafted(behavior, place, lint(behavior), work.n_answered, dict(work.dropped))


def writable(file: str | Path) -> Path:
    """The file that a draft goes to, asked before anything is loaded or written.

    Raises:
        InputError: it is there already, lies in a steering, or cannot be written.
    """
    place = output_path(file)
    if why := fault(place):
        raise InputError(f"{str(place)!r} {why}; give another file", code="unwritable-file", field="file")
    if place.exists():
        raise InputError(
            f"{place} exists and is left as it is; give another file, or move it away", code="file-exists", field="file"
        )
    return place


def _check_arguments(name: str, description: str, n: int, seed: int, instructions: Sides | None) -> None:
    if not description:
        raise InputError(
            "description is empty; say in a few words what the positive side does",
            code="missing-value",
            field="description",
        )
    if not is_whole(n) or n < 2:
        raise InputError(f"n {n}: at least 2 rows are needed", code="out-of-range", field="n")
    if seed < 0:
        raise InputError(f"seed {seed} must not be negative", code="out-of-range", field="seed")
    positive, negative = instructions or ("", "")
    Behavior(name, [Example("a", "b", "c")], description, positive, negative)  # refuses what no file may hold
    if positive and positive == negative:
        raise InputError(
            "the two instructions are the same; the sides could not differ",
            code="conflicting-arguments",
            field="instructions",
        )


class _Interview:
    """The questions in their order."""

    def __init__(
        self, writer: Writer, journal: AnswerJournal, description: str, seed: int, n: int, progress: Progress
    ) -> None:
        self.writer, self.journal, self.description, self.seed, self.n = writer, journal, description, seed, n
        self.progress = progress
        self.dropped: Counter[str] = Counter()
        self.n_answered = 0
        self._asked = 0

    def _say(self, name: str, conversations: Sequence[Sequence[Mapping[str, str]]], most: int) -> list[str | None]:
        self._asked += 1
        seed = int(np.random.default_rng([self.seed, self._asked]).integers(1 << 31))
        said = self.journal.step(name, lambda: self.writer.say(conversations, seed, most))
        self.progress.advance(name.split()[0], len(conversations))
        return said

    def instructions(self) -> Sides:
        """The writer's own two instructions.

        Raises:
            TrimtabError: it gives none.
        """
        for k in range(_TRIES):
            answer = self._say(f"instructions {k}", [asking.for_instructions(self.description)], _INSTRUCTION_TOKENS)[0]
            result = asking.instructions_in(answer or "")
            if result:
                return result
        raise TrimtabError(
            f"{self.writer.identity} did not put the behavior into two instructions; give both yourself",
            code="no-usable-answers",
            field="instructions",
        )

    def rows(self, given: Sides) -> list[Row]:
        """As many usable rows as wanted, or as can be had.

        Raises:
            TrimtabError: not even two.
        """
        rows: list[Row] = []
        for opening, plus, minus in self._pairs(given, lambda: self.n - len(rows)):
            row = self._usable(rows, opening, plus, minus)
            if row is not None and len(rows) < self.n:
                rows.append(row)
        if len(rows) < 2:
            reasons = ", ".join(f"{count} {why}" for why, count in self.dropped.most_common()) or "no openings"
            raise TrimtabError(
                f"{self.writer.identity} wrote {len(rows)} usable rows ({reasons}); take a more capable model",
                code="no-usable-answers",
                field="writer",
            )
        return rows

    def _pairs(self, given: Sides, missing: Callable[[], int]) -> Iterator[tuple[str, str | None, str | None]]:
        """Openings with both answers, until nothing is missing."""
        started, known = perf_counter(), set[str]()
        for k in range(_ROUNDS):
            openings = [o for o in self._openings(k, missing()) if normalise(o) not in known]
            openings = list({normalise(o): o for o in openings}.values())
            known |= {normalise(o) for o in openings}
            if k == 0:
                each = (perf_counter() - started) / max(1, self._asked)
                self.progress.begin(2 * self.n, each * 2 * self.n, "requests")
            for start in range(0, len(openings), _CHUNK):
                some = openings[start : start + _CHUNK]
                turns = [
                    asking.for_answer(side, opening, self.n_answered + i, self.seed)
                    for i, opening in enumerate(some)
                    for side in given
                ]
                said = self._say(f"answers {k}.{start}", turns, _ANSWER_TOKENS)
                self.n_answered += len(some)
                yield from zip(some, said[::2], said[1::2], strict=True)
                if missing() <= 0:
                    return

    def _openings(self, k: int, missing: int) -> list[str]:
        requests = math.ceil(_SPARE * missing / asking.PER_REQUEST)
        turns = [asking.for_openings(self.description, 1000 * k + i, self.seed) for i in range(requests)]
        texts = self._say(f"openings {k}", turns, _OPENING_TOKENS)
        return [opening for text in texts for opening in asking.openings_in(text or "")]

    def _usable(self, rows: Sequence[Row], opening: str, plus: str | None, minus: str | None) -> Row | None:
        """The row, or None and the reason counted."""
        positive, negative = asking.answer_in(plus or ""), asking.answer_in(minus or "")
        why = ""
        if positive is None or negative is None:
            why = "without two complete answers"
        elif normalise(positive) == normalise(negative):
            why = "with the same answer twice"
        elif any(normalise(answer) in normalise(opening) for answer in (positive, negative)):
            why = "whose message holds an answer"
        else:
            new = pieces(" ".join((opening, positive, negative)))
            if any(jaccard(new, pieces(" ".join(row))) >= _REPEATED for row in rows):
                why = "that repeat an earlier one"
            else:
                return opening, positive, negative
        self.dropped[why] += 1
        return None


def _write(
    file: Path, name: str, description: str, given: Sides, rows: Sequence[Row], provenance: Mapping[str, object]
) -> None:
    header = {
        "trimtab": "behavior", "name": name, "description": description,
        "positive_instruction": given[0], "negative_instruction": given[1], "pairing": "natural",
    }  # fmt: skip
    lines: list[Mapping[str, object]] = [header]
    for prompt, positive, negative in rows:
        lines.append(
            {"prompt": prompt, "positive": f" {positive}", "negative": f" {negative}"} | {"provenance": provenance}
        )
    try:
        with whole(file) as work:
            work.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
            if file.exists():
                raise InputError(
                    f"{file} has appeared meanwhile and is left as it is; give another file",
                    code="file-exists",
                    field="file",
                )
    except OSError as error:
        raise InputError(
            f"cannot write {file}: {error.strerror or error}; give another file", code="unwritable-file", field="file"
        ) from None
