"""Tiny random models of many architectures and one tiny tokenizer: made once per process, copied for every use."""

import copy
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

from trimtab.interventions import Site
from trimtab.models import Batch, Encoded, Model, collate
from trimtab.steering import Additive, Steering

WIDTH = 32
_SHARED: dict[str, Any] = {
    "vocab_size": 200,
    "hidden_size": WIDTH,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.2,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "tie_word_embeddings": False,
}
_GPT2 = {"n_embd": WIDTH, "n_layer": 4, "n_head": 4, "n_positions": 128}
_CONFIGS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {"head_dim": 8}),
    "mistral": ("MistralConfig", {"sliding_window": 5}),
    "gemma2": ("Gemma2Config", {"head_dim": 8, "sliding_window": 5, "tie_word_embeddings": True}),
    "gemma3": ("Gemma3TextConfig", {"head_dim": 8, "sliding_window": 5, "tie_word_embeddings": True}),
    "gpt2": ("GPT2Config", _GPT2),
    "gpt_neox": ("GPTNeoXConfig", {}),
    "gpt_neox_sequential": ("GPTNeoXConfig", {"use_parallel_residual": False}),
    "opt": ("OPTConfig", {"ffn_dim": 48, "word_embed_proj_dim": WIDTH}),
    "phi": ("PhiConfig", {}),
    "falcon": ("FalconConfig", {}),
    "falcon_sequential": ("FalconConfig", {"parallel_attn": False, "alibi": True}),
    "bloom": ("BloomConfig", {"n_layer": 4, "n_head": 4}),
    "mixtral": ("MixtralConfig", {"num_local_experts": 4, "sliding_window": None}),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 24, "head_dim": 8},
    ),
}
_CORPUS = [
    "The capital of France is Paris, and the capital of England is London.",
    "A trim tab is the small flap that turns a rudder that turns a ship.",
    "Is the sky blue? Yes, the sky is blue. Is the grass red? No, the grass is green.",
    "She said hello to the world in 1999, and the world said hello back in 2024.",
]


@cache
def _original(name: str, changes: tuple[tuple[str, Any], ...]) -> Any:
    kind, special = _CONFIGS[name]
    config = getattr(transformers, kind)(**{**_SHARED, **special, **dict(changes)})
    torch.manual_seed(0)
    hf = transformers.AutoModelForCausalLM.from_config(config)
    for p in hf.parameters():
        if p.ndim == 1:  # biases and norms, which begin as zeros and ones
            p.data += 0.1 * torch.randn_like(p)
    return hf.eval()


@pytest.fixture(scope="session")
def plain() -> Callable[..., Any]:
    """`plain("llama", **config)`: a fresh copy of a tiny random Hugging Face model, always with the same weights."""

    def make(name: str = "llama", **changes: Any) -> Any:
        return copy.deepcopy(_original(name, tuple(sorted(changes.items()))))

    return make


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """Byte-level BPE with fewer than 200 tokens; `<pad>` 0, `<s>` 1, `</s>` 2, and a chat template."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    special = ["<pad>", "<s>", "</s>", "<unk>", "<user>", "<model>"]
    bpe.train_from_iterator(_CORPUS, trainers.BpeTrainer(vocab_size=190, special_tokens=special, show_progress=False))
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    fast.chat_template = (
        "<s>{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
        "{% if add_generation_prompt %}<model>{% endif %}"
    )
    return fast


@pytest.fixture(scope="session")
def wrapped(plain: Callable[..., Any], tokenizer: Any) -> Callable[..., Model]:
    """`wrapped("llama", **config)`: a fresh tiny model, wrapped, with the tokenizer."""

    def make(name: str = "llama", dtype: torch.dtype = torch.float32, **changes: Any) -> Model:
        return Model(plain(name, **changes).to(dtype), tokenizer, id=name)

    return make


@pytest.fixture
def model(wrapped: Callable[..., Model]) -> Model:
    """A tiny Llama in float32."""
    return wrapped()


@pytest.fixture(scope="session")
def adding() -> Callable[..., Steering]:
    """`adding(1, "mlp:2")`: a steering that adds a vector at each site, one attribute `vector`."""

    def make(*sites: int | str, size: float = 1.0, seed: int = 7) -> Steering:
        torch.manual_seed(seed)
        edits = {Site.parse(str(s)): Additive(size * torch.randn(1, WIDTH)) for s in sites}
        return Steering(edits, {"vector": 1.0})

    return make


@pytest.fixture(scope="session")
def batch_of() -> Callable[..., Batch]:
    """`batch_of([[1, 5, 6], [1, 7]], [1, 1], "left")`: token ids and prompt lengths as a batch."""

    def make(rows: Sequence[Sequence[int]], prompt_len: Sequence[int] | None = None, side: Any = "right") -> Batch:
        lengths = prompt_len or [len(r) for r in rows]
        encoded = [Encoded(tuple(r), n) for r, n in zip(rows, lengths, strict=True)]
        return collate(encoded, 0, torch.device("cpu"), side)

    return make


@pytest.fixture(scope="session")
def tokens() -> Callable[..., list[list[int]]]:
    """`tokens(0, 5, 9)`: rows of random token ids, here of 5 and 9 tokens, that begin with `<s>`."""

    def make(seed: int, *lengths: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return [[1, *torch.randint(6, 190, (n - 1,), generator=generator).tolist()] for n in lengths]

    return make


@pytest.fixture(scope="session")
def bare_hook() -> Callable[..., Any]:
    """`with bare_hook(module, change)`: the output `o` becomes `change(o)`, whether a tensor or in a tuple."""

    class Hooked:
        def __init__(self, module: torch.nn.Module, change: Callable[[Tensor], Tensor]) -> None:
            self.module, self.change = module, change

        def __enter__(self) -> None:
            def hook(module: Any, args: Any, output: Any) -> Any:
                return (self.change(output[0]), *output[1:]) if isinstance(output, tuple) else self.change(output)

            self.handle = self.module.register_forward_hook(hook)

        def __exit__(self, *_: Any) -> None:
            self.handle.remove()

    return Hooked
