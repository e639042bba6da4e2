"""Small tokenizers of the kinds that models come with, trained on a few sentences of our own."""

import json
from collections.abc import Callable
from typing import Any

import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

CORPUS = [
    "The harbour was quiet in the morning, and the ferry left on time.",
    "She said: don't wait for the others, they are never early!",
    "Ein schöner Garten, größer als unser Haus; naïve café owners agree.",
    "Two lanterns, three boats (and a dog) were seen at 10:45 p.m.",
]
_SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
_LETTERS = sorted(set("".join(CORPUS)) | {"▁"})
_BYTES = [f"<0x{i:02X}>" for i in range(256)]


def _wrapped(backend: Tokenizer, **options: Any) -> Any:
    named = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", **options}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=backend, **named)


def byte_level(prefix_space: bool = False, **options: Any) -> Any:
    """As GPT-2's, Llama 3's and Qwen's."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix_space)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=_SPECIAL, initial_alphabet=alphabet)
    )
    return _wrapped(backend, **options)


def sentence_piece(scheme: str = "first", legacy: bool = False, **options: Any) -> Any:
    """As Llama 2's and Mistral's: spaces are letters, one stands in front, and bytes stand in for rare ones."""
    trained = Tokenizer(models.BPE(unk_token="<unk>"))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    trained.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(vocab_size=400, special_tokens=[*_SPECIAL, *_BYTES], initial_alphabet=_LETTERS),
    )
    given = json.loads(trained.to_str())["model"]
    merges = [tuple(m) for m in given["merges"]]
    backend = Tokenizer(
        models.BPE(vocab=given["vocab"], merges=merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True)
    )
    backend.add_special_tokens(_SPECIAL)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    if legacy:
        backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    else:
        backend.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme=scheme)
    if legacy or scheme != "never":
        steps.append(decoders.Strip(" ", 1, 0))
    backend.decoder = decoders.Sequence(steps)
    return _wrapped(backend, **options)


def unigram(**options: Any) -> Any:
    """As T5's, XGLM's and ALBERT's, with its own normalisation."""
    backend = Tokenizer(models.Unigram())
    backend.normalizer = normalizers.NFKC()
    backend.pre_tokenizer = pre_tokenizers.Metaspace()
    backend.decoder = decoders.Metaspace()
    backend.train_from_iterator(
        CORPUS, trainers.UnigramTrainer(vocab_size=200, special_tokens=_SPECIAL, unk_token="<unk>")
    )
    return _wrapped(backend, **options)


def word_piece(**options: Any) -> Any:
    """As BERT's: lower case, spaces around marks."""
    backend = Tokenizer(models.WordPiece(unk_token="<unk>"))
    backend.normalizer = normalizers.BertNormalizer(lowercase=True)
    backend.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    backend.decoder = decoders.WordPiece()
    backend.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=200, special_tokens=_SPECIAL))
    return _wrapped(backend, **options)


def ending(tokenizer: Any) -> Any:
    """The same with a post-processor that begins every text with `<s>` and ends it with `</s>`."""
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    return tokenizer


FAMILIES: dict[str, Callable[[], Any]] = {
    "byte level": byte_level,
    "byte level, space in front": lambda: byte_level(prefix_space=True),
    "sentence piece, first": sentence_piece,
    "sentence piece, always": lambda: sentence_piece("always"),
    "sentence piece, never": lambda: sentence_piece("never"),
    "sentence piece, legacy": lambda: sentence_piece(legacy=True),
    "unigram": unigram,
    "unigram, cleaned up": lambda: unigram(clean_up_tokenization_spaces=True),
    "word piece": word_piece,
    "word piece, cleaned up": lambda: word_piece(clean_up_tokenization_spaces=True),
    "bytes, slow": transformers.ByT5Tokenizer,
    "byte level, ending": lambda: ending(byte_level()),
    "sentence piece, ending": lambda: ending(sentence_piece()),
}
