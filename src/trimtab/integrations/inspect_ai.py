"""A provider for Inspect, which installs into an environment of its own (`pip install inspect-ai`).

    inspect eval tasks.py --model trimtab/smollm2@my-steering -M strength=1.5

Inspect finds it by its entry point. `MODEL` is what `trimtab.load` takes, `STEERING` the folder of an artifact; without
it the model is unsteered. Turns go through the tokenizer's chat template; a model without one gets them one after
another as text. Texts are greedy unless a temperature above 0 is asked for. One request runs at a time.
"""

import threading
import time
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from trimtab.errors import InputError
from trimtab.interventions import Scope
from trimtab.models import Completion, ensure_fits, load
from trimtab.steering import Steering
from trimtab.texts import Message, Rendered

MAX_TOKENS = 256  # of an answer, unless Inspect says otherwise


@modelapi(name="trimtab")
class SteeredAPI(ModelAPI):  # type: ignore[misc]
    """A model that trimtab loads, steered or not.

    Args:
        model_name: `MODEL` or `MODEL@STEERING`.
        base_url, api_key: of no use here; Inspect gives them to every provider.
        config: Inspect's settings.
        strength: a number for every attribute, a preset's name or a number by attribute; None for the defaults.
        scope: which tokens are edited.
        dtype, device: as `trimtab.load` takes them.
        allow_mismatch: steer other weights than the steering was made for.

    Raises:
        InputError: no such model or artifact, or a steering for another model.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        strength: float | str | Mapping[str, float] | None = None,
        scope: Scope = "all",
        dtype: str = "auto",
        device: str | None = None,
        allow_mismatch: bool = False,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        name, _, folder = model_name.partition("@")
        self.model = load(name, dtype=dtype, device=device)
        self.steering = Steering.load(folder, allow_mismatch=allow_mismatch) if folder else None
        if self.steering is not None:
            ensure_fits(self.steering, self.model)
        elif strength is not None:
            raise InputError(
                f"a strength without a steering has no effect; write the model as trimtab/{name}@DIR", field="strength"
            )
        self.how = {"steering": self.steering, "strength": strength, "scope": scope}
        self.lock = threading.Lock()

    def max_connections(self) -> int:
        """Requests at a time."""
        return 1

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        """An answer to a chat.

        Raises:
            InputError: tools, pictures or log-probabilities are asked for.
        """
        if tools:
            raise InputError("the provider trimtab offers a model no tools; leave them out", code="unsupported")
        if config.logprobs or (config.num_choices or 1) > 1:
            raise InputError(
                "the provider trimtab gives one answer without log-probabilities; for these use trimtab's tasks or "
                "lm-evaluation-harness",
                code="unsupported",
            )
        turns = tuple(Message(message.role, _text(message)) for message in input)
        began = time.perf_counter()
        done = await anyio.to_thread.run_sync(self._answer, turns, config)
        text, why = done.text, "stop" if len(done.written) < _most(config) else "max_tokens"
        for stop in config.stop_seqs or []:
            text = text.split(stop, 1)[0]
        used = ModelUsage(
            input_tokens=done.row.prompt_len, output_tokens=len(done.written), total_tokens=len(done.row.ids)
        )
        message = ChatMessageAssistant(content=text, model=self.model_name, source="generate")
        choice = ChatCompletionChoice(message=message, stop_reason=why)
        return ModelOutput(
            model=self.model_name, choices=[choice], usage=used, time=time.perf_counter() - began,
            metadata=None if self.steering is None else {"steering": self.steering.id},
        )  # fmt: skip

    def _answer(self, turns: tuple[Message, ...], config: GenerateConfig) -> Completion:
        chat = bool(getattr(self.model.tokenizer, "chat_template", None))
        prompt = "".join(f"{turn.role}: {turn.content}\n" for turn in turns)
        options: dict[str, Any] = {"stop_strings": list(config.stop_seqs)} if config.stop_seqs else {}
        if config.temperature:
            sampling = {"temperature": config.temperature, "top_p": config.top_p, "top_k": config.top_k}
            options |= {"do_sample": True, **{key: value for key, value in sampling.items() if value is not None}}
        text = Rendered("", prompt, "", messages=turns)
        with self.lock:
            return self.model.generate(
                text, details=True, chat_template=chat, max_new_tokens=_most(config), seed=config.seed or 0, **self.how,
                **options,
            )  # fmt: skip


def _most(config: GenerateConfig) -> int:
    """Tokens of an answer at most."""
    return int(config.max_tokens or MAX_TOKENS)


def _text(message: ChatMessage) -> str:
    """What a turn says.

    Raises:
        InputError: it holds more than text.
    """
    if isinstance(message.content, list) and any(part.type != "text" for part in message.content):
        kinds = ", ".join(sorted({part.type for part in message.content} - {"text"}))
        raise InputError(f"a turn holds {kinds}; the provider trimtab reads text alone", code="unsupported")
    return str(message.text)
