"""Other libraries as contenders of `../generation.py`: a vector of zeros is added at one block, at every token."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from generation_pairs import Clock, Plain, Texts, Variant, paired
from worker import serve

from models import load

Prepare = Callable[[Any, Any, int, Plain], tuple[Callable[[], AbstractContextManager[Any]], Callable[[], Texts]]]


def hook(model: Any, zeros: Any, block: int, plain: Plain) -> Variant:
    """The floor: one line by hand."""

    @contextmanager
    def hooked() -> Iterator[None]:
        handle = model.model.layers[block].register_forward_hook(lambda module, args, out: out + zeros)
        try:
            yield
        finally:
            handle.remove()

    return hooked, plain


def steering_vectors(model: Any, zeros: Any, block: int, plain: Plain) -> Variant:
    """As its documentation shows; the vector has the model's dtype, as one trained on it has."""
    from steering_vectors import SteeringVector

    vector = SteeringVector({block: zeros})
    return lambda: vector.apply(model), plain


def repeng(model: Any, zeros: Any, block: int, plain: Plain) -> Variant:
    """Its wrapper stands in the model while it is steered, and not while it is not."""
    from repeng import ControlModel, ControlVector

    vector = ControlVector(model_type="llama", directions={block: zeros.float().numpy()})

    @contextmanager
    def wrapped() -> Iterator[None]:
        control = ControlModel(model, [block])
        control.set_control(vector)
        try:
            yield
        finally:
            control.unwrap()

    return wrapped, plain


def pyvene(model: Any, zeros: Any, block: int, plain: Plain) -> Variant:
    """`intervene_on_prompt` without locations: at every token of prompt and continuation."""
    import pyvene as pv

    edit = pv.AdditionIntervention(source_representation=zeros)
    place = {"layer": block, "component": "block_output", "intervention": edit}
    intervenable = pv.IntervenableModel(place, model=model)

    def generate(**inputs: Any) -> Any:
        base = {key: inputs.pop(key) for key in ("input_ids", "attention_mask")}
        _, out = intervenable.generate(base, unit_locations=None, intervene_on_prompt=True, **inputs)
        return out

    return nullcontext, lambda: plain(generate)


def peer(prepare: Prepare) -> Callable[[dict[str, Any]], tuple[Any, Callable[[], dict[str, Any]]]]:
    """A job: load the model, generate plain and steered."""

    def job_of(job: dict[str, Any]) -> tuple[Any, Callable[[], dict[str, Any]]]:
        import torch

        clock = Clock()
        clock.install()
        model, tokenizer = load(job["folder"], job["dtype"])
        plain = Plain(model, tokenizer, job)
        zeros = torch.zeros(model.config.hidden_size, dtype=model.dtype)
        return paired({"plain": (nullcontext, plain), "steered": prepare(model, zeros, job["block"], plain)}, clock)

    return job_of


PEERS = {"one-line hook": hook, "steering-vectors": steering_vectors, "repeng": repeng, "pyvene": pyvene}

if __name__ == "__main__":
    serve({name: peer(prepare) for name, prepare in PEERS.items()})
