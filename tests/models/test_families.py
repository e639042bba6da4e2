"""The table of families in docs/models.md: every cell is measured here, against loops without cache or padding."""

from functools import cache
from typing import Any

import pytest
import torch
from tests.models.families import FAMILIES, build
from tests.models.table import cells, lines

from trimtab.errors import InputError
from trimtab.integrations.vllm.architectures import ARCHITECTURES
from trimtab.interventions import Site
from trimtab.models import Model, load
from trimtab.steering import Steering

TEXTS, ANSWER = ["Is it?", "The sky is blue and the grass", "A ship"], " yes indeed"
SITE, STEPS = Site(1), 5


class Measured:
    """One family: what trimtab gives beside what a plain loop gives."""

    def __init__(self, name: str, tokenizer: Any) -> None:
        self.hf, self.tokenizer = build(name), tokenizer
        self.model = Model(self.hf, tokenizer)
        v = torch.randn(self.model.d_model, generator=torch.Generator().manual_seed(3)) * 2
        self.v, self.steering = v, Steering.from_vector(SITE, v)

    def ids(self, text: str) -> list[int]:
        return [1, *self.tokenizer(text, add_special_tokens=False)["input_ids"]]

    def plainly(self, ids: list[int], first: int, last: int, steer: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits `[T, V]` of one row, and what block 1 puts out, edited from token `first` to before `last`."""
        seen = []

        def hook(module: Any, args: Any, out: Any) -> Any:
            h = out[0] if isinstance(out, (tuple, list)) else out
            seen.append(h[0].clone())
            at = torch.arange(h.shape[1])
            h = h + ((at >= first) & (at < last) & steer)[None, :, None] * self.v
            return (h, *out[1:]) if isinstance(out, (tuple, list)) else h

        handle = self.model.anatomy.blocks[1].register_forward_hook(hook)
        try:
            with torch.no_grad():
                return self.hf(input_ids=torch.tensor([ids]), use_cache=False).logits[0], seen[0]
        finally:
            handle.remove()

    def reads(self) -> bool:
        got = self.model.capture(TEXTS, [SITE]).activations[SITE]
        expected = torch.stack([self.plainly(self.ids(t), 0, 0)[1][-1] for t in TEXTS])
        return torch.allclose(got, expected, rtol=1e-3, atol=1e-4)

    def scores(self) -> bool:
        got = self.model.score(TEXTS, [ANSWER] * 3, steering=self.steering).total
        for i, text in enumerate(TEXTS):
            begin, whole = self.ids(text), self.ids(text + ANSWER)
            logp = self.plainly(whole, 0, len(whole))[0].log_softmax(-1)
            expected = sum(float(logp[k - 1, whole[k]]) for k in range(len(begin), len(whole)))
            if abs(expected - float(got[i])) > 1e-3 * abs(expected):
                return False
        return True

    @cache  # noqa: B019 - lives as long as its test
    def loop(self, text: str, scope: str) -> list[int]:
        ids = self.ids(text)
        n = len(ids)
        first, last = {"prompt": (0, n), "generated": (n - 1, 1 << 30)}[scope]
        for _ in range(STEPS):
            ids.append(int(self.plainly(ids, first, last)[0][-1].argmax()))
            if ids[-1] == 2:
                break
        return ids[n:]

    def texts(self, batched: bool) -> str:
        try:
            for scope in ("prompt", "generated"):
                expected = [self.tokenizer.decode(self.loop(t, scope), skip_special_tokens=True) for t in TEXTS]
                options = {"steering": self.steering, "scope": scope, "max_new_tokens": STEPS}
                if batched:
                    got = self.model.generate(TEXTS, **options)
                else:
                    got = [self.model.generate(t, **options) for t in TEXTS]
                if got != expected:
                    return "no"
        except InputError as error:
            return f"refused: {error}"
        return "by length" if batched and not self.model.tolerates_padding else "yes"

    def direct(self) -> str:
        for scope in ("prompt", "generated"):
            for text in TEXTS:
                ids = torch.tensor([self.ids(text)])
                with self.model.steered(self.steering, 1, scope):
                    try:
                        out = self.hf.generate(
                            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=STEPS, do_sample=False,
                            pad_token_id=0, eos_token_id=2,
                        )  # fmt: skip
                    except ValueError as error:
                        return f"transformers: {error}"
                if out[0, ids.shape[1] :].tolist() != self.loop(text, scope):
                    return "no"
        return "yes"


def row(name: str, tokenizer: Any) -> dict[str, str]:
    """The cells of a line of the table that are measured here."""
    kind = type(build(name)).__name__
    found = {"family": name, "class": f"`{kind}`"}
    try:
        m = Measured(name, tokenizer)
    except InputError as error:
        why = str(error).removeprefix(kind).strip().split(";")[0]
        return found | {
            "reads": f"refused: {why}",
            **dict.fromkeys(("scores", "steered text", "in a batch", "direct"), ""),
        }
    yes = {True: "yes", False: "no"}
    return found | {
        "reads": yes[m.reads()], "scores": yes[m.scores()], "steered text": m.texts(False), "in a batch": m.texts(True),
        "direct": m.direct(),
    }  # fmt: skip


QUICK = (
    "Llama", "Gemma 2", "OPT", "RWKV", "Falcon Mamba", "Jamba", "RoBERTa, as decoder", "BART's decoder", "Llava, text",
    "Qwen2-VL, text", "BERT", "BERT, masked", "XLNet", "T5", "Whisper", "Llama, classifier", "Llama, without head",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow) for n in FAMILIES])
def test_the_table_of_families_says_what_is_measured(name, tokenizer):
    measured, said = row(name, tokenizer), cells(name)
    assert {column: said[column] for column in measured} == measured
    assert "no" not in measured.values()


def test_the_table_has_no_other_rows():
    assert [line.split(" | ")[0].removeprefix("| ") for line in lines()] == list(FAMILIES)


@pytest.mark.parametrize("name", FAMILIES)
def test_the_column_of_vllm_names_the_classes_that_are_tried_there(name):
    """Every class of ARCHITECTURES is tried in vLLM itself by tests/integrations/vllm_plugin/test_architectures.py."""
    said = cells(name)
    if said["reads"].startswith("refused"):
        assert said["vLLM"] == ""
    else:
        assert said["vLLM"] == ("yes" if said["class"].strip("`") in ARCHITECTURES else "not run")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["Llava, text", "Qwen2-VL, text", "InternVL, text"])
def test_a_folder_of_a_model_with_images_loads_for_its_text(name, tokenizer, tmp_path):
    hf = build(name)
    hf.save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    model = load(tmp_path / "model", dtype="float32")
    steering = Steering.from_vector(SITE, torch.ones(model.d_model))
    expected = Model(hf, tokenizer).generate(TEXTS, steering=steering, max_new_tokens=STEPS)
    assert model.generate(TEXTS, steering=steering, max_new_tokens=STEPS) == expected
