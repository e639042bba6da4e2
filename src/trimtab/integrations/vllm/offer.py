"""The steerings that a vLLM server offers, what a request makes of them, and which requests may share a cache."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from pydantic import ValidationError

from trimtab.errors import InputError, TrimtabError
from trimtab.integrations.vllm.architectures import Architecture
from trimtab.integrations.vllm.setup import Setup
from trimtab.interventions import POSITION_SCOPES, Capabilities, RequestSteering, Site
from trimtab.serving.errors import invalid_body
from trimtab.serving.protocol import AskedSteering
from trimtab.serving.registry import Registry
from trimtab.serving.resolution import Resolved, resolve
from trimtab.serving.served import Served
from trimtab.steering import Steering
from trimtab.steering.edits import KINDS

FIELD: Final = "steering"
"""The field of a request's body, and the key in its `vllm_xargs`, there as a JSON string."""


@dataclass(frozen=True)
class ServedModel:
    """The model that vLLM runs, as its config describes it.

    Args:
        id: by which vLLM loads it.
        architecture: the name of its class.
        layout: of the class.
        d_model: width of the residual stream.
        n_blocks: number of blocks.
        max_length: tokens of prompt and answer together.
        max_running: requests that share a batch.
        dtype: such as `bfloat16`.
    """

    id: str
    architecture: str
    layout: Architecture
    d_model: int
    n_blocks: int
    max_length: int
    max_running: int
    dtype: str


class Offer:
    """What requests may be steered by; fixed when the server starts.

    Args:
        setup: see `Setup`.
        model: that vLLM runs.

    Raises:
        InputError: there is no such folder, or not one steering in it that this model can be steered by.
    """

    def __init__(self, setup: Setup, model: ServedModel) -> None:
        self.registry = Registry(setup.folder)
        self.model, self._setup = model, setup
        self.faults: dict[str, str] = dict(self.registry.faults)
        sites: set[Site] = set()
        for name in self.registry.loaded:
            try:
                sites |= self._sites(Steering.load(setup.folder / name))
            except TrimtabError as error:
                self.faults[name] = str(error)
        if not sites:
            why = "; ".join(f"{name}: {fault}" for name, fault in self.faults.items()) or "it is empty"
            raise InputError(
                f"the folder {setup.folder} holds no steering for {model.id}: {why}",
                code="unsupported",
                field="steerings",
            )
        self.sites = tuple(sorted(sites))

    @cached_property
    def capabilities(self) -> Capabilities:
        """What the engine can do for a steering."""
        model = self.model
        return Capabilities(
            self._setup.facts, model.max_length, model.max_running, frozenset(KINDS), frozenset(POSITION_SCOPES),
            messages=True, dtype=model.dtype,
        )  # fmt: skip

    @property
    def steerings(self) -> Mapping[str, Served]:
        """Those that requests may name."""
        return {name: one for name, one in self.registry.loaded.items() if name not in self.faults}

    def resolved(self, asked: Any, *, chat: bool = False) -> Resolved:
        """The steering that a request asks for.

        Args:
            asked: the field `steering` as JSON values, or as JSON text.
            chat: whether the prompt goes through the chat template.

        Raises:
            InputError: it is not such a field, or asks for what this server cannot do.
        """
        wanted = asked_steering(asked)
        if wanted.name is None:
            raise InputError("steering: say which one, as its name", code="missing-value", field="steering.name")
        for option in ("explain", "compare"):
            if getattr(wanted, option):
                raise InputError(
                    f"steering.{option} is not supported by vLLM; leave it out",
                    code="unsupported",
                    field=f"steering.{option}",
                )
        if wanted.name in self.faults:
            raise InputError(
                f"the steering {wanted.name!r} cannot be used here: {self.faults[wanted.name]}",
                code="unsupported",
                field="steering.name",
            )
        mismatch = self._setup.allow_mismatch
        found = resolve(self.registry, wanted.name, wanted, self.capabilities, chat=chat, mismatch=mismatch)
        made_for = self.registry.find(wanted.name).made_for
        if made_for is None or self._setup.facts is not None:
            return found
        unknown = f"the weights that vLLM runs were not compared with those of {made_for.id}, which it was made for"
        return replace(found, departures=(unknown, *found.departures))

    def _sites(self, steering: Steering) -> set[Site]:
        """Where a steering edits.

        Raises:
            InputError: the model cannot be steered so.
        """
        if steering.conditions:
            raise InputError("it acts under conditions on prompts, which vLLM would have to read before it runs them")
        if steering.prompts:
            raise InputError("it puts text in front of prompts, which are tokens here; send the text yourself")
        made_for, model = steering.made_for, self.model
        here = (model.architecture, model.d_model, model.n_blocks)
        if made_for is not None and (made_for.architecture, made_for.d_model, made_for.n_blocks) != here:
            raise InputError(
                f"it was made for {made_for.id} ({made_for.architecture}, {made_for.n_blocks} blocks of width "
                f"{made_for.d_model}), and {model.id} is a {model.architecture} of {model.n_blocks} blocks of width "
                f"{model.d_model}"
            )
        for site, edit in steering.edits.items():
            if site.block >= model.n_blocks:
                raise InputError(f"site {site}: the model has blocks 0 to {model.n_blocks - 1}", code="no-such-site")
            model.layout.place(site)
            if edit.width != model.d_model:  # type: ignore[attr-defined]  # one that was stored has a width
                raise InputError(
                    f"site {site}: it is {edit.width} wide, and the model {model.d_model}",  # type: ignore[attr-defined]
                    code="wrong-shape",
                )
        return set(steering.edits)


def asked_steering(asked: Any) -> AskedSteering:
    """The field `steering` of a request.

    Args:
        asked: JSON values, or a JSON text of them.

    Raises:
        InputError: it is no such field.
    """
    if isinstance(asked, str):
        try:
            asked = json.loads(asked)
        except ValueError as error:
            raise InputError(f"{FIELD} is no JSON: {error}", code="wrong-type", field=FIELD) from error
    if not isinstance(asked, Mapping):
        raise InputError(f'{FIELD} must be an object such as {{"name": …}}', code="wrong-type", field=FIELD)
    try:
        return AskedSteering.model_validate(dict(asked))
    except ValidationError as error:
        fault = error.errors()[0]
        told = invalid_body([{**fault, "loc": (FIELD, *fault["loc"])}])
        raise InputError(str(told), code="wrong-type", field=told.field) from error


def applied(steering: RequestSteering) -> dict[str, Any] | None:
    """What the workers are told of a request, as JSON values; None where every strength is 0, which is no steering."""
    strength = {name: float(value) for name, value in steering.strength.items()}
    if not any(strength.values()):
        return None
    return {"artifact": steering.artifact, "strength": strength, "scope": steering.scope}


def cache_salt(steering: Mapping[str, Any], prompt_len: int, own: str | None) -> str:
    """What keeps cached prompts apart: the same for requests whose tokens are edited alike, and for no others.

    vLLM finds cached activations by the tokens that lead to them. With the scope `all` a token's edit depends on
    nothing else than the steering; with other scopes on where the prompt ends, so that the same tokens of a longer
    prompt are edited otherwise.

    Args:
        steering: as `applied` gives it.
        prompt_len: tokens of the prompt.
        own: the salt that the request brings itself.
    """
    parts = {**steering, "prompt": None if steering["scope"] == "all" else prompt_len, "own": own}
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def selected_tokens(scope: str, prompts: int, prompt_tokens: int, per_prompt: int, answer_tokens: int) -> int:
    """How many tokens of a whole answer a scope selects.

    Args:
        scope: of the steering.
        prompts: how many there were.
        prompt_tokens: of all of them together.
        per_prompt: answers to each.
        answer_tokens: of all answers; the last one of each is not run.
    """
    answers = prompts * per_prompt
    return {
        "all": prompt_tokens * per_prompt + answer_tokens - answers,
        "prompt": prompt_tokens * per_prompt,
        "last": answers,
        "generated": answer_tokens,
    }[scope]
