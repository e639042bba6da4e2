"""A steered model for lm-evaluation-harness, which installs into an environment of its own (`pip install lm-eval`).

    python -m trimtab.integrations.lm_eval run --tasks arc_easy --model trimtab \\
        --model_args pretrained=smollm2,steering=my-steering,strength=1.5

The harness has no entry point for models; this module registers `trimtab` and then is its command line. From Python,
importing it is enough. Without `steering` everything is the harness' own `hf` model. With it, prompts and answers are
tokenized as `hf` does (no beginning-of-text token unless `add_bos_token=True`), and scored and continued by the one
forward pass of trimtab. Final norm and head are then float32; a fair baseline in bfloat16 is the same steering at
strength 0. Only artifacts are read, whose digests are verified; never a pickle.
"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from lm_eval.__main__ import cli_evaluate
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from torch import Tensor

from trimtab.errors import InputError, TrimtabError
from trimtab.interventions import Scope
from trimtab.models import Encoded, ensure_fits, load, steer
from trimtab.models.generate import generate
from trimtab.models.scoring import score
from trimtab.models.text import context_length
from trimtab.steering import Steering

Request = tuple[Any, list[int], list[int]]  # the texts, and the tokens of context and continuation


@register_model("trimtab")
class SteeredLM(HFLM):  # type: ignore[misc]
    """A model that trimtab loads, steered or not.

    Args:
        pretrained: as `trimtab.load` takes it.
        steering: folder of an artifact; None leaves the model unsteered.
        strength: a number for every attribute, a preset's name or a number by attribute; None for the defaults.
        scope: which tokens are edited.
        allow_mismatch: steer other weights than the steering was made for.
        revision, adapter, dtype, device: as `trimtab.load` takes them.
        options: the harness' other options of `hf`, such as `batch_size`, `max_length` and `add_bos_token`.

    Raises:
        InputError: no such model or artifact, a steering for another model, or one that is text in front of prompts.
    """

    def __init__(
        self,
        pretrained: str = "smollm2",
        steering: str | None = None,
        strength: float | str | Mapping[str, float] | None = None,
        scope: Scope = "all",
        allow_mismatch: bool = False,
        revision: str | None = None,
        adapter: str | None = None,
        dtype: str = "float32",
        device: str | None = None,
        **options: Any,
    ) -> None:
        if str(device).startswith("cuda") and not torch.cuda.is_available():
            device = None  # what the harness says where nobody said anything
        model = load(str(pretrained), revision=revision, adapter=adapter, dtype=dtype, device=device)
        self.whole, self.edits = model, None
        if steering is None and strength is not None:
            raise InputError("a strength without a steering has no effect; give steering=DIR too", field="strength")
        if steering is not None:
            artifact = Steering.load(str(steering), allow_mismatch=allow_mismatch)
            ensure_fits(artifact, model)
            if artifact.prompts:
                raise InputError(
                    f"steering {steering} puts texts in front of prompts, which the harness itself lays out; give the "
                    "text to its system_instruction instead",
                    code="unsupported",
                    field="steering",
                )
            self.edits = (steer(artifact, strength, scope),)
        super().__init__(pretrained=model.hf, tokenizer=model.tokenizer, backend="causal", **options)
        config = model.hf.config
        turning = getattr(config, "rope_parameters", None) or getattr(config, "rope_theta", None)
        # The last token need not be read. Ours is, for which learned positions may have no place.
        place = turning or self.max_length < context_length(config, model.tokenizer)
        self.longest = self.max_length + bool(place)

    def _loglikelihood_tokens(
        self, requests: Sequence[Request], disable_tqdm: bool = False, override_bs: int | None = None
    ) -> list[tuple[float, bool]]:
        """Log-probability of each continuation, and whether greedy decoding would write it."""
        if self.edits is None:
            return super()._loglikelihood_tokens(requests, disable_tqdm, override_bs)  # type: ignore[no-any-return]
        rows = []
        for _, context, continuation in requests:
            ids = (context + continuation)[-self.longest :]
            rows.append(Encoded(tuple(ids), len(ids) - len(continuation)))
        scores = score(self.whole, rows, self.edits)
        answers = list(zip(scores.total.tolist(), scores.greedy.tolist(), strict=True))
        for (texts, _, _), answer in zip(requests, answers, strict=True):
            if texts is not None:  # None is a window of a longer text
                self.cache_hook.add_partial("loglikelihood", texts, answer)
        return answers

    def _model_generate(self, context: Tensor, max_length: int, stop: list[str], **options: Any) -> Tensor:
        """Prompts, padded on the left, with what is written after each, padded on the right."""
        if self.edits is None:
            return super()._model_generate(context, max_length, stop, **options)  # type: ignore[no-any-return]
        real = options.pop("attention_mask").bool()
        if not options.get("temperature"):
            options.pop("temperature", None)
            options.setdefault("do_sample", False)
        rows = [Encoded(tuple(ids[own].tolist()), int(own.sum())) for ids, own in zip(context, real, strict=True)]
        options |= {"stop_strings": stop} if stop else {}
        done = generate(self.whole, rows, self.edits, max_length - context.shape[1], 0, options)
        longest = max(len(each.written) for each in done)
        new = torch.full((len(rows), longest), self.tokenizer.pad_token_id, device=context.device)
        for row, each in zip(new, done, strict=True):
            row[: len(each.written)] = torch.tensor(each.written)
        return torch.cat([context, new], dim=1)


def main() -> None:
    """The harness' command line, with the model `trimtab`."""
    try:
        cli_evaluate()
    except TrimtabError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
