"""Contender of `../control_vectors.py`: llama.cpp, steered by a control vector by its C interface; nothing is timed.

A job holds `library` (a file with llama.cpp in it), `model` and `vector` (GGUF), `exact` (keys and values in float32
instead of llama.cpp's own default), `ids` (tokens of each prompt), `strengths`, and `logits`, the file that takes
`[strengths, prompts, vocabulary]` of each prompt's last token.
"""

from typing import Any

from worker import Run, serve

FLOAT32 = 0  # GGML_TYPE_F32
OFF = 0  # LLAMA_FLASH_ATTN_TYPE_DISABLED


def llama_cpp(job: dict[str, Any]) -> tuple[Any, Run]:
    """Logits at every strength, with the name and version of the processor features that llama.cpp uses."""
    import numpy as np
    from gguf import GGUFReader
    from llama_cpp_py_sync._cffi_bindings import get_ffi

    ffi: Any = get_ffi()
    lib = ffi.dlopen(job["library"])
    lib.llama_backend_init()
    options, settings = lib.llama_model_default_params(), lib.llama_context_default_params()
    options.n_gpu_layers, options.use_extra_bufts = 0, False
    settings.n_ctx, settings.n_threads, settings.n_threads_batch = 512, 1, 1
    if job["exact"]:
        settings.type_k = settings.type_v = FLOAT32
        settings.flash_attn_type = OFF
    model = lib.llama_model_load_from_file(job["model"].encode(), options)
    context = lib.llama_init_from_model(model, settings)
    blocks, width = lib.llama_model_n_layer(model), lib.llama_model_n_embd(model)
    size = 4 * lib.llama_vocab_n_tokens(lib.llama_model_get_vocab(model))
    rows = []
    for strength in job["strengths"]:
        vectors = np.zeros((blocks - 1, width), np.float32)  # from block 1 on
        for tensor in GGUFReader(job["vector"]).tensors:
            vectors[int(tensor.name.removeprefix("direction.")) - 1] = strength * tensor.data
        given = ffi.from_buffer("float *", vectors)
        assert lib.llama_set_adapter_cvec(context, given, vectors.size, width, 1, blocks) == 0
        for ids in job["ids"]:
            lib.llama_memory_clear(lib.llama_get_memory(context), True)
            assert lib.llama_decode(context, lib.llama_batch_get_one(ffi.new("llama_token[]", ids), len(ids))) == 0
            rows.append(np.frombuffer(ffi.buffer(lib.llama_get_logits_ith(context, -1), size), np.float32).copy())
    np.save(job["logits"], np.stack(rows).reshape(len(job["strengths"]), len(job["ids"]), -1))
    return ffi.string(lib.llama_print_system_info()).decode().strip(), lambda: None


if __name__ == "__main__":
    serve({"llama.cpp": llama_cpp})
