"""The steered requests of a worker, and the pass that runs: which of its tokens are edited by what."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any, Final

from torch import Tensor

from trimtab.interventions import RequestSteering, Site, Steerable
from trimtab.models import steer
from trimtab.serving.engines.packed import PackedPass
from trimtab.serving.engines.packed_steering import PackedSteering

EXTRA: Final = "trimtab"
"""The key in `SamplingParams.extra_args` under which workers are told how a request is steered."""


class SteeredRequests:
    """The requests of a worker that are steered; each is forgotten when vLLM says that it is finished.

    Args:
        steerings: the steering of an artifact's id.
    """

    def __init__(self, steerings: Callable[[str], Steerable]) -> None:
        self._steerings = steerings
        self._rows: dict[str, PackedSteering] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, id: str, extra: Mapping[str, Any] | None, prompt_len: int) -> None:
        """A request has arrived.

        Args:
            id: of the request.
            extra: its `extra_args`.
            prompt_len: tokens of its prompt.
        """
        told = (extra or {}).get(EXTRA)
        if told is None:
            self._rows.pop(id, None)
            return
        asked = RequestSteering(told["artifact"], told["strength"], told["scope"])
        steering = self._steerings(asked.artifact)
        edits = steer(steering, asked.strength, asked.scope)
        self._rows[id] = PackedSteering(edits, tuple(steering.attributes), prompt_len)

    def forget(self, ids: Iterable[str]) -> None:
        """Requests are finished."""
        for id in ids:
            self._rows.pop(id, None)

    def begin(self, order: Sequence[tuple[str, int, int]]) -> PackedPass | None:
        """The edits of a pass; None if it has none.

        Args:
            order: its requests in the order of its tokens, each with the position of its first token and with their
                number. A request that was given up comes again from an earlier position.
        """
        rows = [self._rows.get(id) for id, _, _ in order]
        if not any(rows):
            return None
        return PackedPass(rows, [start for _, start, _ in order], [n for _, _, n in order], measured=False)


_running: ContextVar[PackedPass | None] = ContextVar("trimtab_vllm_pass", default=None)
# An operation in a compiled graph is handed tensors and constants alone: what it does in this pass stands here.


@contextmanager
def running(edits: PackedPass | None) -> Iterator[None]:
    """In here the model runs a pass.

    Args:
        edits: of the pass; None for one that stays as it is.

    Raises:
        InertSteeringError: an edit of the pass never ran.
        Exception: an edit failed.
    """
    before = _running.set(edits)
    try:
        yield
    finally:
        _running.reset(before)
    _ended(edits)


class RunningPass:
    """The pass that runs, where nobody says when it is over: it is when the next one begins."""

    def __init__(self) -> None:
        self._edits: PackedPass | None = None

    def begin(self, edits: PackedPass | None) -> None:
        """The next pass begins.

        Args:
            edits: as of `running`.

        Raises:
            InertSteeringError, Exception: as of `running`, of the pass before.
        """
        before, self._edits = self._edits, edits
        _running.set(edits)
        _ended(before)


def _ended(edits: PackedPass | None) -> None:
    if edits is not None:
        edits.check()
        for error in edits.errors:
            raise error


def edit_in_place(hidden: Tensor, residual: Tensor | None, site: str) -> None:
    """Edit what a module has computed, in the tokens that the running pass selects; all others keep theirs.

    Args:
        hidden: `[N, d_model]` the activation; together with `residual`, where there is one, its sum.
        residual: `[N, d_model]` to which vLLM adds `hidden` later. Edited tokens have their whole sum in `hidden`
            and 0 here, so that nothing is rounded on the way.
        site: where it was computed.
    """
    edits = _running.get()
    if edits is None:
        return
    place = _site(site)
    if place not in edits.sites:
        return
    tokens = edits.tokens(place, hidden.device)
    if tokens is None:  # all of them, in front of what the batch is filled up with
        hidden = hidden[: edits.n_tokens]
        residual = None if residual is None else residual[: edits.n_tokens]
        hidden.copy_(edits.edit(place, hidden if residual is None else hidden + residual))
        if residual is not None:
            residual.zero_()
        return
    before = hidden[tokens] if residual is None else hidden[tokens] + residual[tokens]
    hidden.index_copy_(0, tokens, edits.edit(place, before))
    if residual is not None:
        residual.index_fill_(0, tokens, 0)


@cache
def _site(text: str) -> Site:
    return Site.parse(text)
