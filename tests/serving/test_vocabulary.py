"""Tokens and their letters without the model, against transformers' own tokenizer."""

from pathlib import Path

import pytest
from tokenizers import Tokenizer, decoders, models

from trimtab.errors import InputError
from trimtab.serving.vocabulary import FileVocabulary


def test_ids_and_letters_are_those_of_the_models_own_encoder(tiny_folder: Path) -> None:
    import trimtab as tt
    from trimtab.texts import Rendered

    encoder = tt.load(tiny_folder, dtype="float32").encoder()
    vocabulary = FileVocabulary(tiny_folder / "tokenizer.json", encoder.first)
    for text in ("Good day, 12  fine\n\twords.", "naïve 漢字 🙂", "</s> in the middle", "<s>behind its own"):
        ids = tuple(vocabulary.ids(text))
        assert ids == encoder.encode([Rendered("", text, "")])[0].ids
        assert b"".join(map(vocabulary.letters, ids)).decode() == f"<s>{text.removeprefix('<s>')}"
    assert vocabulary.letters(2) == b"</s>"
    assert vocabulary.letters(10**6) == b""


def test_bytes_and_spaces_of_sentencepiece_are_spelled_out(tmp_path: Path) -> None:
    tokenizer = Tokenizer(models.BPE({"<0xE2>": 0, "▁day": 1}, []))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    vocabulary = FileVocabulary(tmp_path / "tokenizer.json", None)
    assert [vocabulary.letters(token) for token in (0, 1)] == [b"\xe2", b" day"]


def test_a_file_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match="holds no tokenizer"):
        FileVocabulary(tmp_path / "tokenizer.json", None)
