"""The reader of safetensors files by hand, against the safetensors library: never another answer, never more trust."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from trimtab.errors import InputError
from trimtab.steering.artifact.tensors import content_of, tensors_of

SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


def arrays(shapes: dict[str, tuple[int, ...]]) -> dict[str, np.ndarray[Any, np.dtype[np.float32]]]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def same(result: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return result.keys() == wanted.keys() and all(
        result[name].shape == wanted[name].shape and result[name].tobytes() == wanted[name].tobytes() for name in result
    )


def file_of(header: object, data: bytes = b"", pad: bytes = b"") -> bytes:
    head = (header if isinstance(header, bytes) else json.dumps(header).encode()) + pad
    return len(head).to_bytes(8, "little") + head + data


def entry(shape: list[int], begin: int, end: int, dtype: str = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


@given(st.dictionaries(st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"), SHAPES, max_size=4))
def test_what_the_library_wrote_is_read_and_the_other_way_round(shapes: dict[str, tuple[int, ...]]) -> None:
    held = arrays(shapes)
    assert same(tensors_of(save(held)), held)
    assert same(load(content_of(held)), held)


@given(st.data())
def test_of_a_damaged_file_nothing_is_read_that_the_library_reads_otherwise(data: st.DataObject) -> None:
    content = bytearray(save(arrays({"0.vectors": (2, 3), "condition.0": (4,), "x": ()})))
    header = int.from_bytes(content[:8], "little") + 8
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, header - 1))] = data.draw(st.integers(0, 255))
    try:
        result = tensors_of(bytes(content))
    except InputError:
        return
    assert same(result, load(bytes(content)))


@given(st.binary(max_size=64), st.binary(max_size=16))
def test_any_bytes_are_refused_in_words_or_read_as_the_library_does(header: bytes, data: bytes) -> None:
    for content in (header, file_of(header, data), file_of(b"{" + header + b"}", data)):
        try:
            result = tensors_of(content)
        except InputError:
            continue
        assert same(result, load(content))


def test_views_are_read_only_and_none_of_the_bytes_is_copied() -> None:
    content = save(arrays({"a": (2, 3)}))
    result = tensors_of(content)["a"]
    assert not result.flags.writeable
    assert not result.flags.owndata


def test_numbers_that_lie_at_odd_places_are_read() -> None:
    """Writers pad the header to eight bytes, but nobody must."""
    for pad in range(8):
        content = file_of({"a": entry([2], 0, 8)}, np.array([1.5, -2.0], "<f4").tobytes(), b" " * pad)
        assert tensors_of(content)["a"].tolist() == [1.5, -2.0]


LIBRARY_TOO = [
    (b"", "fewer than its header claims"),
    (b"\0" * 7, "fewer than its header claims"),
    ((1 << 63).to_bytes(8, "little") + b"{}", "fewer than its header claims"),
    ((3).to_bytes(8, "little") + b"{}", "fewer than its header claims"),
    (file_of(b"[]"), "must contain a JSON object"),
    (file_of(b'{"a": '), "not valid JSON"),
    (file_of(b"\xff\xfe{}"), "not valid JSON"),
    (file_of({"a": entry([1], 0, 4)}), "beyond the file"),
    (file_of({"a": entry([1], 0, 4)}, b"\0" * 8), "4 bytes after the last tensor"),
    (file_of({"a": entry([1], 4, 8)}, b"\0" * 8), "not directly after the tensor before it"),
    (file_of({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, b"\0" * 4), "not directly after the tensor before it"),
    (file_of({"a": entry([2], 0, 8), "b": entry([2], 4, 12)}, b"\0" * 12), "not directly after the tensor before it"),
    (file_of({"a": entry([1], 0, 4), "b": entry([1], 8, 12)}, b"\0" * 12), "not directly after the tensor before it"),
    (file_of({"a": entry([3], 0, 4)}, b"\0" * 4), "does not take 4 bytes"),
    (file_of({"a": entry([1], 4, 0)}, b"\0" * 4), "does not take -4 bytes"),
    (file_of({"a": entry([-1, -1], 0, 4)}, b"\0" * 4), "invalid shape or invalid offsets"),
    (file_of({"a": entry([1 << 62, 4], 0, 0)}), "does not take"),
    (file_of({"a": {"shape": [1], "data_offsets": [0, 4]}}, b"\0" * 4), "must have"),
    (file_of({"a": entry([1], 0, 4) | {"data_offsets": [0, 4, 8]}}, b"\0" * 4), "invalid shape or invalid offsets"),
    (file_of({"a": entry([1], 0, 4) | {"shape": "1"}}, b"\0" * 4), "invalid shape or invalid offsets"),
    (file_of({"a": entry([1], 0, 4) | {"shape": [1.0]}}, b"\0" * 4), "invalid shape or invalid offsets"),
    (file_of({"a": entry([1], 0, 4) | {"shape": [True]}}, b"\0" * 4), "invalid shape or invalid offsets"),
    (file_of({"a": [1]}), "must have"),
    (file_of({"__metadata__": {"a": 1}}), "metadata"),
    (file_of({"__metadata__": []}), "metadata"),
]


@pytest.mark.parametrize(("content", "word"), LIBRARY_TOO)
def test_what_lies_is_refused_as_the_library_does(content: bytes, word: str) -> None:
    with pytest.raises(InputError, match=f"is not a valid safetensors file: .*{word}"):
        tensors_of(content)
    with pytest.raises((SafetensorError, ValueError, OverflowError, MemoryError)):
        load(content)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (file_of({"a": entry([2], 0, 4, "F16")}, b"\0" * 4), "'a' is F16; this format has float32 only"),
        (file_of({"a": entry([4], 0, 4, "U8")}, b"\0" * 4), "float32 only"),
        (file_of({"a": entry([1], 0, 4) | {"code": "x"}}, b"\0" * 4), "and nothing else"),
        (file_of({"a": entry([1] * 9, 0, 4)}, b"\0" * 4), "invalid shape or invalid offsets"),
        (file_of(b'{"a": %s, "a": %s}' % ((json.dumps(entry([1], 0, 4)).encode(),) * 2), b"\0" * 4), "repeats a name"),
    ],
)
def test_what_the_library_would_let_pass_is_refused(content: bytes, word: str) -> None:
    with pytest.raises(InputError, match=word):
        tensors_of(content)
    load(content)
