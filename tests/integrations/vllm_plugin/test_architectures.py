"""Every site of the model classes that the plug-in names, in vLLM itself; tiny random models, not compiled."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.integrations.vllm_plugin.reference import agree, greedy

import trimtab as tt
from trimtab.integrations.vllm.architectures import ARCHITECTURES
from trimtab.steering import Additive

pytestmark = pytest.mark.filterwarnings("ignore")  # vLLM's own

COMMON: dict[str, Any] = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "head_dim": 32, "max_position_embeddings": 256, "initializer_range": 0.2,
}  # fmt: skip
MORE: dict[str, dict[str, Any]] = {
    "GPT2LMHeadModel": {"n_embd": 64, "n_layer": 2, "n_head": 2, "n_positions": 256, "initializer_range": 0.2},
    "Gemma2ForCausalLM": {**COMMON, "query_pre_attn_scalar": 32, "sliding_window": 64},
    "Gemma3ForCausalLM": {**COMMON, "query_pre_attn_scalar": 32, "sliding_window": 64},
    "GemmaForCausalLM": COMMON,
    "MistralForCausalLM": {**COMMON, "sliding_window": None},
    "MixtralForCausalLM": {**COMMON, "num_local_experts": 2, "num_experts_per_tok": 1, "sliding_window": None},
    "Phi3ForCausalLM": {**{k: v for k, v in COMMON.items() if k != "head_dim"}, "sliding_window": None},
    "Qwen2ForCausalLM": {k: v for k, v in COMMON.items() if k != "head_dim"},
    "Qwen3ForCausalLM": COMMON,
    "Qwen3MoeForCausalLM": {
        **COMMON, "num_experts": 2, "num_experts_per_tok": 1, "moe_intermediate_size": 32, "norm_topk_prob": True,
    },
}  # fmt: skip


def test_every_class_is_tried() -> None:
    assert {*MORE, "LlamaForCausalLM"} == set(ARCHITECTURES)


@pytest.mark.parametrize("name", MORE)
def test_residual_attention_and_mlp_are_edited_where_transformers_has_them(
    name: str, require: Any, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vllm = require("vllm", "vllm")
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    monkeypatch.setenv("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # engine and worker in this process, one after the other
    folder = made(name, tiny_folder, tmp_path / "model")
    model = tt.load(folder, dtype="float32")
    generator = torch.Generator().manual_seed(5)
    steerings = {}
    for site in ("0", "1", "attention:1", "mlp:0"):
        vector = (12 if "Gemma" in name else 3) * torch.randn(1, 64, generator=generator)
        steerings[site] = tt.Steering({site: Additive(vector)}, {"x": 1.0}, made_for=model.facts)
        steerings[site].save(tmp_path / "steerings" / site.replace(":", "-"))
    llm = vllm.LLM(
        str(folder), dtype="float32", max_model_len=128, max_num_seqs=8, enforce_eager=True,
        additional_config={"trimtab": {"steerings": str(tmp_path / "steerings")}},
    )  # fmt: skip
    try:
        ids = [1, *torch.randint(3, 250, (20,), generator=generator).tolist()]
        asks: list[str | None] = [None, *steerings]
        params = [
            vllm.SamplingParams(
                temperature=0, max_tokens=8, ignore_eos=True,
                extra_args=None if ask is None else {"steering": {"name": ask.replace(":", "-")}},
            )
            for ask in asks
        ]  # fmt: skip
        got = llm.generate([{"prompt_token_ids": ids}] * len(asks), params, use_tqdm=False)
    finally:
        llm.llm_engine.engine_core.shutdown()
    answers = {ask: list(answer.outputs[0].token_ids) for ask, answer in zip(asks, got, strict=True)}
    for asked, tokens in answers.items():
        steering = None if asked is None else steerings[asked]
        assert agree(tokens, greedy(model, ids, steering, 1.0, "all", 8)), asked
    assert len(set(map(tuple, answers.values()))) == len(answers)  # each does something of its own


def made(name: str, tiny_folder: Path, folder: Path) -> Path:
    """A tiny random model of a class, with the tokenizer of another."""
    import transformers

    shutil.copytree(tiny_folder, folder)
    (folder / "config.json").unlink()
    cls = getattr(transformers, name)
    config = cls.config_class(
        **MORE[name], vocab_size=600, pad_token_id=0, bos_token_id=1, eos_token_id=2, architectures=[name]
    )
    torch.manual_seed(0)
    cls(config).save_pretrained(folder)
    return folder
