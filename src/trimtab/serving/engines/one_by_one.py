"""The engine over transformers' `generate`: one request after the other, for models that cannot be batched."""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from trimtab.errors import TrimtabError
from trimtab.interventions import Steerable
from trimtab.models import Model
from trimtab.models.batches import single_row
from trimtab.models.conditions import decided
from trimtab.models.generate import new_tokens
from trimtab.serving.engines.batching import Limits
from trimtab.serving.engines.logits import TokenChoice, scores_of
from trimtab.serving.engines.model_engine import ModelEngine
from trimtab.serving.engines.packed import Layout, edited_passes
from trimtab.serving.engines.prompts import Prepared
from trimtab.serving.engines.running import Running

T = TypeVar("T")


class OneByOneEngine(ModelEngine):
    """An `trimtab.interventions.Engine` in this process, for every model that `Model.generate` runs.

    Requests wait for their turn in the order in which they came.

    Args:
        model: with its tokenizer.
        steerings: finds the steering of an artifact's id; None if there is none.
        limits: how long a request may be.
        why: the reason for not batching, for people.

    Raises:
        InputError: the model has no tokenizer, or it is steered already.

    Example:
        >>> import asyncio
        >>> import trimtab as tt
        >>> from trimtab.interventions import Request, Sampling
        >>> from trimtab.serving.engines.one_by_one import OneByOneEngine
        >>> model = tt.load("smollm2")
        >>> async def answer(prompt):
        ...     engine = OneByOneEngine(model, {}.get)
        ...     request = Request("a", tuple(model.tokenizer(prompt)["input_ids"]), Sampling(5, temperature=0))
        ...     text = "".join([event.text async for event in engine.submit(request)])
        ...     await engine.close()
        ...     return text
        >>> asyncio.run(answer("1, 2, 3, 4, 5,"))
        ' 6, 7'
    """

    def __init__(
        self,
        model: Model,
        steerings: Callable[[str], Steerable | None],
        limits: Limits | None = None,
        why: str = "",
    ) -> None:
        super().__init__(model, steerings, limits or Limits())
        self._why = why
        self._turns = ThreadPoolExecutor(1, "trimtab-turns")  # runs the model

    @property
    def max_running(self) -> int:
        """See `ModelEngine`."""
        return 1

    @property
    def note(self) -> str:
        """See `ModelEngine`."""
        return f"requests run one after the other{f': {self._why}' if self._why else ''}"

    async def _run(self, running: Running, prepared: Prepared) -> None:
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._turns, partial(self._generate, running, prepared, loop))
        if not running.ended:  # all of its tokens have been told by now
            raise TrimtabError("the model stopped before the answer's end; send the request again")

    async def _between(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._turns, act)

    def _free(self) -> None:
        self._turns.shutdown()

    def _generate(self, running: Running, prepared: Prepared, loop: asyncio.AbstractEventLoop) -> None:
        """A request's turn, in the model's thread."""
        if running.ended:
            return
        model, row, sampling = self._model, prepared.row, running.request.sampling
        choice = TokenChoice(sampling, row.prompt_len, prepared.grammar)
        if prepared.steer is not None:
            ((steer,),) = decided(model, [row], [(prepared.steer,)])
            prepared = prepared.decided(steer)
        steering = prepared.packed()
        ends = self._preparation.ends
        running.begin(row.ids, model.tokenizer, choice, steering, (ends, self._preparation.silent_ends))

        def wrote(tokens: list[int]) -> bool:
            finished = len(tokens) >= sampling.max_tokens or tokens[-1] in ends
            loop.call_soon_threadsafe(self._arrived, running, tokens, finished)
            return running.ended

        options = {
            "logits_processor": LogitsProcessorList([_Chooser(choice)]),
            "stopping_criteria": StoppingCriteriaList([_EachToken(row.prompt_len, wrote)]),
        }
        with ExitStack() as stack:
            stack.enter_context(single_row(len(row.ids) + sampling.max_tokens))
            if steering is not None:
                steps = _Steps(running.name, row.prompt_len)
                stack.enter_context(edited_passes(model.hf, model.anatomy, {running.name: steering}, steps))
            new_tokens(model, [row], (), sampling.max_tokens, 0, options)


class _Steps:
    """Lays out the passes of one text: the prompt, then a token behind a cache or, without one, everything again."""

    def __init__(self, name: str, prompt_len: int) -> None:
        self._name, self._so_far = name, prompt_len

    def __call__(self, inputs: Mapping[str, Any]) -> Layout:
        ids, end = inputs["input_ids"][0], self._so_far
        self._so_far += 1
        return Layout([(self._name, len(ids))], torch.arange(end - len(ids), end), ids)


class _Chooser(LogitsProcessor):
    """Chooses the tokens of one request."""

    def __init__(self, choice: TokenChoice) -> None:
        self._choice = choice

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        answer = [] if self._choice.plain else input_ids[0, self._choice.prompt_len :].tolist()
        return scores_of(scores, [(self._choice, answer)])


class _EachToken(StoppingCriteria):
    """Tells the answer so far after each token, and stops where that says so."""

    def __init__(self, prompt_len: int, wrote: Callable[[list[int]], bool]) -> None:
        self._prompt_len, self._wrote = prompt_len, wrote

    def __call__(self, input_ids: Tensor, scores: Any, **kwargs: Any) -> Tensor:
        stop = self._wrote(input_ids[0, self._prompt_len :].tolist())
        return torch.full((len(input_ids),), stop, device=input_ids.device)
