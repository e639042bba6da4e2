"""The next token of each request in a packed pass: by its own sampling, whoever shares its batch.

The batch decodes greedily; what is random is added to a request's own logits. The largest of logits plus independent
Gumbel noise is a draw from their softmax (Gumbel 1954; Maddison et al. 1411.0030, section 2), so a request that brings
its own generator draws the same whatever else the pass holds.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

import torch
from torch import Tensor
from transformers import LogitsProcessorList
from transformers.generation.continuous_batching.cb_logits_processors import (
    ContinuousBatchingLogitsProcessor,
    ContinuousBatchingLogitsProcessorList,
)

from trimtab.interventions import Sampling
from trimtab.serving.engines.grammars import GrammarState

COLDEST = 1e-4  # below this temperature the likeliest token is taken


@dataclass(frozen=True)
class ChosenToken:
    """A token that was chosen.

    Args:
        logprob: its log-probability under the model, before temperature, bias, penalties and grammar.
        top: the log-probabilities of the likeliest tokens by id, as many as the request asks for.
    """

    logprob: float
    top: Mapping[int, float]


class TokenChoice:
    """How one request's tokens are chosen, and what was chosen.

    Args:
        sampling: as the request has it.
        prompt_len: tokens before the answer.
        grammar: what the answer must follow.

    Attributes:
        chosen: what was chosen, token by token; written by the thread that runs the model.
        error: what went wrong; the request must be ended.
    """

    def __init__(self, sampling: Sampling, prompt_len: int, grammar: GrammarState | None = None) -> None:
        self.sampling, self.prompt_len, self.grammar = sampling, prompt_len, grammar
        self.chosen: deque[tuple[_Choices, int]] = deque()
        self.error: Exception | None = None
        self._generator: torch.Generator | None = None

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is taken."""
        return self.sampling.temperature < COLDEST or self.sampling.top_k == 1

    @property
    def plain(self) -> bool:
        """Whether the likeliest token is taken and nothing changes the logits."""
        s = self.sampling
        return self.greedy and self.grammar is None and not (s.logit_bias or s.presence_penalty or s.frequency_penalty)

    def scores(self, logits: Tensor, answer: Sequence[int]) -> Tensor:
        """`[V]` logits to `[V]` scores, of which the largest is the next token.

        Args:
            logits: of the model, float32.
            answer: the tokens so far.
        """
        scores = self.adjusted(logits, answer)
        if self.greedy:
            return scores
        scores = (scores - scores.max()) / self.sampling.temperature
        scores = likeliest(scores, self.sampling.top_k, self.sampling.top_p)
        return scores - torch.empty_like(scores).exponential_(generator=self._random(scores.device)).log()

    def adjusted(self, logits: Tensor, answer: Sequence[int]) -> Tensor:
        """`[V]` with bias and penalties, −∞ where the grammar does not go on."""
        s, scores = self.sampling, logits.clone()
        if s.logit_bias:
            ids = torch.tensor(list(s.logit_bias), device=scores.device)
            scores[ids] += torch.tensor(list(s.logit_bias.values()), device=scores.device)
        if answer and (s.presence_penalty or s.frequency_penalty):
            counts = torch.bincount(torch.tensor(list(answer)), minlength=len(scores)).to(scores.device)
            scores -= s.presence_penalty * (counts > 0) + s.frequency_penalty * counts
        if self.grammar is not None:
            allowed = self.grammar.allowed(answer, len(scores))
            scores = torch.where(allowed.to(scores.device), scores, -inf)
        return scores

    def next_chosen(self) -> ChosenToken:
        """What was chosen for the first token that has not been asked for yet."""
        choices, row = self.chosen.popleft()
        logprob, top = choices.on_host
        own = list(zip(*(column[row] for column in top), strict=True))[: self.sampling.top_logprobs] if top else []
        return ChosenToken(logprob[row], {int(token): value for token, value in own})

    def _random(self, device: torch.device) -> torch.Generator:
        if self._generator is None:
            self._generator = torch.Generator(device)
            if self.sampling.seed is None:
                self._generator.seed()
            else:
                self._generator.manual_seed(self.sampling.seed)
        return self._generator


def likeliest(scores: Tensor, top_k: int, top_p: float) -> Tensor:
    """`[V]` with −∞ outside the `top_k` likeliest tokens (0: all) and, among these, those that make up `top_p`."""
    if not top_k and top_p >= 1:
        return scores
    values, ids = scores.topk(min(top_k, len(scores))) if top_k else scores.sort(descending=True)
    probabilities = values.softmax(dim=0)
    kept = ids[probabilities.cumsum(dim=0) - probabilities < top_p]
    return torch.full_like(scores, -inf).index_copy(0, kept, scores[kept])


class _Choices:
    """What was chosen in one pass; copied from the device when first asked for, once the pass is over."""

    def __init__(self, logprob: Tensor, top: tuple[Tensor, Tensor] | None) -> None:
        self._logprob, self._top = logprob, top  # [n]; [n, k] ids and [n, k] log-probabilities

    @cached_property
    def on_host(self) -> tuple[list[float], list[list[list[float]]]]:
        top = [] if self._top is None else [part.tolist() for part in self._top]
        return self._logprob.tolist(), top


Rows = Sequence[tuple[TokenChoice | None, Sequence[int]]]
"""For each row of logits whose token it chooses, None for the likeliest one, and the answer so far."""


def scores_of(logits: Tensor, rows: Rows) -> Tensor:
    """`[n, V]` logits to scores, of which each row's largest is its next token; what that is, is kept in the choices.

    Rows behind those given are not used.
    """
    scores, n = logits, len(rows)
    for i, (choice, answer) in enumerate(rows):
        if choice is None or choice.plain or choice.error is not None:
            continue
        scores = scores.clone() if scores is logits else scores
        try:
            scores[i] = choice.scores(logits[i], answer)
        except Exception as error:  # it ends only the request that asked for it
            choice.error = error
    _keep(logits[:n], scores[:n].argmax(dim=-1), rows)
    return scores


def _keep(logits: Tensor, chosen: Tensor, rows: Rows) -> None:
    total = logits.logsumexp(dim=-1)
    most = max((choice.sampling.top_logprobs for choice, _ in rows if choice is not None), default=0)
    top = None
    if most:
        values, ids = logits.topk(min(most, logits.shape[1]), dim=-1)
        top = (ids, values - total[:, None])
    choices = _Choices(logits.gather(1, chosen[:, None])[:, 0] - total, top)
    for i, (choice, _) in enumerate(rows):
        if choice is not None:
            choice.chosen.append((choices, i))


class TokenChooser(ContinuousBatchingLogitsProcessor):
    """Lets every request of a pass choose its own token.

    Args:
        choices: by request; those left out take the likeliest token. May change between passes.
    """

    supported_kwargs: dict[str, type] = {}  # noqa: RUF012 - as the base class has it
    ignored_kwargs: tuple[str, ...] = ()

    def __init__(self, choices: Mapping[str, TokenChoice]) -> None:
        self._choices = choices
        self._rows: list[tuple[TokenChoice | None, list[int]]] = []

    def fill_defaults(self, int32_tensor: Tensor) -> None:
        """Nothing is handed over in tensors."""
        int32_tensor.zero_()

    def prepare_tensor_args(self, requests_with_new_token: list[Any]) -> Tensor:
        """Keep which request each row of logits will belong to, and its answer so far."""
        self._rows = []
        for state in (request.state for request in requests_with_new_token):
            choice = self._choices.get(state.request_id)
            tokens = state.initial_tokens + state.generated_tokens if choice and not choice.plain else []
            self._rows.append((choice, tokens[choice.prompt_len :] if choice else []))
        return torch.zeros(len(self._rows), dtype=torch.int32)

    def __call__(self, scores: Tensor, tensor_arg: Tensor) -> Tensor:
        """`[n, V]` logits to scores; rows behind those of the requests are not used."""
        return scores_of(scores, self._rows)


def choosing(manager: Any, choices: Mapping[str, TokenChoice]) -> None:
    """Let a manager that has not been started choose tokens request by request."""
    manager.logit_processor = ContinuousBatchingLogitsProcessorList(LogitsProcessorList([TokenChooser(choices)]))
    manager.logit_processor.tensors_required = 1
