"""Which of vLLM's model classes can be steered, and where each of them computes what is edited."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from trimtab.errors import InputError
from trimtab.interventions import Site


@dataclass(frozen=True)
class Architecture:
    """A model class of vLLM.

    The output of a term's module is what is added to the residual stream: behind the all-reduce of tensor
    parallelism, and behind the norm of models that have one there.

    Args:
        module: of `vllm.model_executor.models` that holds the class.
        blocks: where the model keeps its blocks.
        attention, mlp: the modules of a block that compute the two terms; empty where no single module does.
    """

    module: str
    blocks: str = "model.layers"
    attention: str = "self_attn"
    mlp: str = "mlp"

    def place(self, site: Site) -> str:
        """The module behind which a site lies, by its name in the model.

        Raises:
            InputError: these models have no such site.
        """
        block = f"{self.blocks}.{site.block}"
        if site.component == "residual":
            return block
        term = {"attention": self.attention, "mlp": self.mlp}.get(site.component, "")
        if not term:
            raise InputError(
                f"site {site}: vLLM computes it in no module of its own; use the residual, site {site.block}",
                code="no-such-site",
                field="site",
            )
        return f"{block}.{term}"


_AFTER_NORMS: Final = {"attention": "post_attention_layernorm", "mlp": "post_feedforward_layernorm"}

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    "GPT2LMHeadModel": Architecture("gpt2", blocks="transformer.h", attention="attn"),
    "Gemma2ForCausalLM": Architecture("gemma2", **_AFTER_NORMS),
    "Gemma3ForCausalLM": Architecture("gemma3", **_AFTER_NORMS),
    "GemmaForCausalLM": Architecture("gemma"),
    "LlamaForCausalLM": Architecture("llama"),
    "MistralForCausalLM": Architecture("mistral"),
    "MixtralForCausalLM": Architecture("mixtral", mlp="block_sparse_moe"),
    "Phi3ForCausalLM": Architecture("phi3"),
    "Qwen2ForCausalLM": Architecture("qwen2"),
    "Qwen3ForCausalLM": Architecture("qwen3"),
    "Qwen3MoeForCausalLM": Architecture("qwen3_moe"),
}
"""By the name that a model's config gives, which is also that of vLLM's class."""


def architecture_of(names: list[str]) -> tuple[str, Architecture]:
    """The architecture of a model by the names that its config gives.

    Raises:
        InputError: none of them can be steered.
    """
    for name in names:
        if name in ARCHITECTURES:
            return name, ARCHITECTURES[name]
    raise InputError(
        f"vLLM's class of {', '.join(names) or 'a model without a name'} cannot be steered; those that can are "
        f"{', '.join(ARCHITECTURES)}",
        code="unsupported",
        field="model",
    )
