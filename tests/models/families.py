"""Tiny random models of many families: their configurations, and the class where AutoModelForCausalLM is not it."""

from typing import Any

import torch
import transformers

V = {"vocab_size": 200, "bos_token_id": 1, "eos_token_id": 2}
PAD = {**V, "pad_token_id": 0}
L: dict[str, Any] = {
    **PAD, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128,
}  # fmt: skip
G = {**V, "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128}
H = {"head_dim": 8}
STATE = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_n_groups": 1, "mamba_d_state": 8}
HYBRID = ["linear_attention", "full_attention"] * 2
WINDOWS = ["sliding_attention", "full_attention"] * 2
ENCODER = {**V, "hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 48}
SEQ = {
    **PAD, "d_model": 32, "encoder_layers": 4, "decoder_layers": 4, "encoder_attention_heads": 4,
    "decoder_attention_heads": 4, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 1,
}  # fmt: skip
EYES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 16}
SEES = {**EYES, "patch_size": 8}
ROPE = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
QWEN_EYES = {"depth": 1, "hidden_size": 32, "num_heads": 2, "patch_size": 8, "out_hidden_size": 32}
TOKENS = {"image_token_id": 190, "video_token_id": 191, "vision_start_token_id": 192, "vision_end_token_id": 193}

Family = tuple[str, dict[str, Any], str | None]
FAMILIES: dict[str, Family] = {
    "Llama": ("LlamaConfig", L, None),
    "Mistral": ("MistralConfig", {**L, "sliding_window": 5}, None),
    "Qwen2": ("Qwen2Config", L, None),
    "Qwen3": ("Qwen3Config", {**L, **H}, None),
    "Gemma 2": ("Gemma2Config", {**L, **H, "sliding_window": 5}, None),
    "Gemma 3, text": ("Gemma3TextConfig", {**L, **H, "sliding_window": 5}, None),
    "GPT-2": ("GPT2Config", G, None),
    "GPT-NeoX": ("GPTNeoXConfig", L, None),
    "GPT-J": ("GPTJConfig", {**G, "rotary_dim": 4}, None),
    "GPT-Neo": (
        "GPTNeoConfig",
        {
            **V,
            "hidden_size": 32,
            "num_layers": 4,
            "num_heads": 4,
            "attention_types": [[["global", "local"], 2]],
            "window_size": 5,
            "max_position_embeddings": 128,
        },
        None,
    ),
    "GPT-BigCode": ("GPTBigCodeConfig", G, None),
    "CodeGen": ("CodeGenConfig", {**G, "rotary_dim": 4}, None),
    "OpenAI GPT": ("OpenAIGPTConfig", G, None),
    "CTRL": (
        "CTRLConfig",
        {"vocab_size": 200, "n_positions": 128, "n_embd": 32, "dff": 48, "n_layer": 4, "n_head": 4},
        None,
    ),
    "OPT": ("OPTConfig", {**L, "ffn_dim": 48, "word_embed_proj_dim": 32}, None),
    "XGLM": (
        "XGLMConfig",
        {**PAD, "d_model": 32, "ffn_dim": 48, "num_layers": 4, "attention_heads": 4, "max_position_embeddings": 128},
        None,
    ),
    "BioGPT": ("BioGptConfig", L, None),
    "Bloom": ("BloomConfig", {**V, "hidden_size": 32, "n_layer": 4, "n_head": 4}, None),
    "MPT": ("MptConfig", {**V, "d_model": 32, "n_layers": 4, "n_heads": 4, "max_seq_len": 128}, None),
    "Falcon": ("FalconConfig", L, None),
    "Phi": ("PhiConfig", L, None),
    "Phi 3": ("Phi3Config", {**L, "sliding_window": 5}, None),
    "Cohere": ("CohereConfig", L, None),
    "Cohere 2": ("Cohere2Config", {**L, "sliding_window": 5}, None),
    "OLMo 2": ("Olmo2Config", L, None),
    "SmolLM 3": ("SmolLM3Config", L, None),
    "EXAONE 4": ("Exaone4Config", {**L, "sliding_window": 5, "sliding_window_pattern": 2}, None),
    "Granite": ("GraniteConfig", {**L, "embedding_multiplier": 3.0, "residual_multiplier": 0.5}, None),
    "Mixtral": ("MixtralConfig", {**L, "num_local_experts": 4}, None),
    "GPT-OSS": (
        "GptOssConfig",
        {**L, **H, "num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": 5, "layer_types": WINDOWS},
        None,
    ),
    "DeepSeek 3": (
        "DeepseekV3Config",
        {
            **L,
            "num_key_value_heads": 4,
            "moe_intermediate_size": 16,
            "n_routed_experts": 4,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
            "first_k_dense_replace": 1,
            "kv_lora_rank": 8,
            "q_lora_rank": 8,
            "qk_rope_head_dim": 4,
            "qk_nope_head_dim": 8,
            "v_head_dim": 8,
        },
        None,
    ),
    "Llama 4, text": (
        "Llama4TextConfig",
        {**L, **H, "num_local_experts": 2, "intermediate_size_mlp": 48, "attention_chunk_size": 8},
        "Llama4ForCausalLM",
    ),
    "Mamba": ("MambaConfig", {**PAD, "hidden_size": 32, "num_hidden_layers": 4}, None),
    "Falcon Mamba": ("FalconMambaConfig", {**PAD, "hidden_size": 32, "num_hidden_layers": 4}, None),
    "Mamba 2": (
        "Mamba2Config",
        {
            **PAD,
            "hidden_size": 32,
            "num_hidden_layers": 4,
            "num_heads": 8,
            "head_dim": 8,
            "n_groups": 1,
            "state_size": 8,
        },
        None,
    ),
    "RWKV": ("RwkvConfig", {**V, "hidden_size": 32, "num_hidden_layers": 4, "context_length": 128}, None),
    "xLSTM": (
        "xLSTMConfig",
        {**PAD, "hidden_size": 32, "embedding_dim": 32, "num_hidden_layers": 4, "num_blocks": 4, "num_heads": 4},
        None,
    ),
    "RecurrentGemma": (
        "RecurrentGemmaConfig",
        {
            **L,
            **H,
            "attention_window_size": 16,
            "lru_width": 32,
            "block_types": ("recurrent", "recurrent", "attention"),
        },
        None,
    ),
    "Jamba": (
        "JambaConfig",
        {
            **L,
            "attn_layer_period": 2,
            "attn_layer_offset": 1,
            "num_experts": 2,
            "use_mamba_kernels": False,
            "mamba_d_state": 8,
        },
        None,
    ),
    "Bamba": ("BambaConfig", {**L, **STATE, "attn_layer_indices": [1, 3]}, None),
    "Zamba 2": (
        "Zamba2Config",
        {
            **L,
            "layers_block_type": ["mamba", "hybrid"] * 2,
            "mamba_d_state": 8,
            "mamba_headdim": 8,
            "n_mamba_heads": 8,
            "mamba_ngroups": 1,
            "num_mem_blocks": 1,
            "hybrid_layer_ids": [1, 3],
            "use_mem_rope": False,
        },
        None,
    ),
    "LFM 2": ("Lfm2Config", {**L, "block_ff_dim": 48, "full_attn_idxs": [1, 3]}, None),
    "Qwen3-Next": (
        "Qwen3NextConfig",
        {
            **L,
            **H,
            "linear_num_value_heads": 4,
            "linear_num_key_heads": 2,
            "linear_key_head_dim": 8,
            "linear_value_head_dim": 8,
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 16,
            "shared_expert_intermediate_size": 16,
            "layer_types": HYBRID,
        },
        None,
    ),
    "Granite, hybrid": (
        "GraniteMoeHybridConfig",
        {
            **L,
            **STATE,
            "layer_types": ["mamba", "attention"] * 2,
            "shared_intermediate_size": 32,
            "num_local_experts": 0,
        },
        None,
    ),
    "Falcon H1": ("FalconH1Config", {**L, **STATE, "mamba_d_ssm": 64}, None),
    "RoBERTa, as decoder": ("RobertaConfig", {**ENCODER, "pad_token_id": 3, "is_decoder": True}, "RobertaForCausalLM"),
    "BERT, as decoder": ("BertConfig", {**ENCODER, "is_decoder": True}, "BertLMHeadModel"),
    "BART's decoder": ("BartConfig", SEQ, "BartForCausalLM"),
    "Llava, text": (
        "LlavaConfig",
        {
            "text_config": {**L, "model_type": "llama"},
            "vision_config": {**SEES, "model_type": "clip_vision_model"},
            "image_token_index": 190,
        },
        "LlavaForConditionalGeneration",
    ),
    "Gemma 3, with images, text": (
        "Gemma3Config",
        {
            "text_config": {**L, **H, "sliding_window": 5},
            "vision_config": SEES,
            "image_token_index": 190,
            "mm_tokens_per_image": 1,
        },
        "Gemma3ForConditionalGeneration",
    ),
    "Qwen2-VL, text": (
        "Qwen2VLConfig",
        {
            "text_config": {**L, "rope_parameters": ROPE},
            "vision_config": {"depth": 1, "embed_dim": 16, "hidden_size": 32, "num_heads": 2, "patch_size": 8},
            **TOKENS,
        },
        "Qwen2VLForConditionalGeneration",
    ),
    "Qwen2.5-VL, text": (
        "Qwen2_5_VLConfig",
        {
            "text_config": {**L, "rope_parameters": ROPE},
            "vision_config": {**QWEN_EYES, "intermediate_size": 16},
            **TOKENS,
        },
        "Qwen2_5_VLForConditionalGeneration",
    ),
    "Mistral 3, text": (
        "Mistral3Config",
        {
            "text_config": {**L, **H, "model_type": "mistral"},
            "vision_config": {**SEES, "head_dim": 8, "model_type": "pixtral"},
            "image_token_index": 190,
        },
        "Mistral3ForConditionalGeneration",
    ),
    "InternVL, text": (
        "InternVLConfig",
        {
            "text_config": {**L, "model_type": "qwen2"},
            "vision_config": {**EYES, "image_size": [16, 16], "patch_size": [8, 8]},
            "image_token_id": 190,
        },
        "InternVLForConditionalGeneration",
    ),
    "BERT": ("BertConfig", ENCODER, "BertLMHeadModel"),
    "BERT, masked": ("BertConfig", ENCODER, "BertForMaskedLM"),
    "RoBERTa": ("RobertaConfig", ENCODER, "RobertaForCausalLM"),
    "ELECTRA": ("ElectraConfig", ENCODER, "ElectraForCausalLM"),
    "XLNet": (
        "XLNetConfig",
        {"vocab_size": 200, "d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48},
        "XLNetLMHeadModel",
    ),
    "T5": (
        "T5Config",
        {"vocab_size": 200, "d_model": 32, "d_ff": 48, "d_kv": 8, "num_layers": 2, "num_heads": 4},
        "T5ForConditionalGeneration",
    ),
    "BART": ("BartConfig", SEQ, "BartForConditionalGeneration"),
    "Whisper": ("WhisperConfig", SEQ, "WhisperForConditionalGeneration"),
    "Llama, classifier": ("LlamaConfig", L, "LlamaForSequenceClassification"),
    "Llama, without head": ("LlamaConfig", L, "LlamaModel"),
}


WIDE = {  # twice as wide, or four times, by setting: libraries that round weights do so in blocks of 32 and 64
    **{key: {16: 64, 32: 64} for key in ("hidden_size", "n_embd", "d_model", "word_embed_proj_dim", "out_hidden_size")},
    **{key: {16: 64, 48: 128} for key in ("intermediate_size", "ffn_dim", "dff", "block_ff_dim")},
    **{key: {48: 128} for key in ("intermediate_size_mlp", "encoder_ffn_dim", "decoder_ffn_dim")},
    **{key: {8: 16} for key in ("head_dim", "mamba_d_head", "mamba_headdim")},
    "moe_intermediate_size": {16: 64, 24: 64}, "mamba_d_ssm": {64: 128},
}  # fmt: skip


def widened(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings of a wider model."""

    def own(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return widened(value)
        if key == "mrope_section":  # of half a head
            return [2 * n for n in value]
        return WIDE[key].get(value, value) if key in WIDE else value

    return {key: own(key, value) for key, value in settings.items()}


def build(name: str, *, wide: bool = False) -> Any:
    """A tiny model with weights large enough that all outputs depend on all inputs."""
    config, settings, kind = FAMILIES[name]
    settings = widened(settings) if wide else settings
    torch.manual_seed(0)
    configuration = getattr(transformers, config)(**settings)
    hf = (
        getattr(transformers, kind)(configuration)
        if kind
        else transformers.AutoModelForCausalLM.from_config(configuration)
    )
    hf = hf.float().eval()
    if getattr(hf, "generation_config", None) is not None:
        hf.generation_config.forced_eos_token_id = None  # BART's own setting, not the family's doing
    with torch.no_grad():
        for p in hf.parameters():
            if p.ndim > 1:
                p.normal_(0, 0.15)
    return hf
