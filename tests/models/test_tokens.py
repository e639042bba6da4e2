"""Activations of every token: as a plain loop reads them."""

import inspect

import numpy as np
import pytest
import torch
from tests.models.texts import CONTEXT, PROMPTS

from trimtab.errors import InputError
from trimtab.interventions import Site
from trimtab.models import Encoded, Model, Plan, collate
from trimtab.models.tokens import capture_tokens
from trimtab.texts import Rendered

ARCHITECTURES = ["llama", "mistral", "gemma2", "gemma3", "gpt2", "gpt_neox", "opt", "phi", "falcon", "bloom", "mixtral"]
SITES = [Site(0), Site(2)]
ANSWERS = [
    " is Paris, and the capital of England is London.",
    " is Paris, and the ship said no",
    " hello back in 2024.",
]
PAIRS = [Rendered("", CONTEXT[:40] + p, a) for p in PROMPTS[:2] for a in ANSWERS]  # share rows
MANY = [Rendered(CONTEXT, p, a) for p in PROMPTS for a in ANSWERS]  # stand behind a prefix that is run once


def by_hand(hf, rows, site, which, begins=None):
    """One transformers call a text: activations, texts and positions, and how many were massive."""
    result, massive = [], 0
    for i, row in enumerate(rows):
        ids = torch.tensor([row.ids])
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "position_ids" in inspect.signature(hf.forward).parameters:
            inputs["position_ids"] = torch.arange(len(row.ids))[None]
        with torch.no_grad():
            h = hf(**inputs, output_hidden_states=True).hidden_states[site.block + 1][0]
        norms = sorted(h.float().norm(dim=-1).tolist()[1:])
        median = norms[(len(norms) - 1) // 2]
        for t in range(1, len(row.ids)):
            if t < {"response": row.prompt_len, "all": 1, "last": len(row.ids) - 1}[which]:
                continue
            if begins and t < begins[i]:
                continue
            if h[t].float().norm().item() > 10 * median:
                massive += 1
            else:
                result.append((h[t], i, t))
    return torch.stack([h for h, *_ in result]), [i for _, i, _ in result], [t for *_, t in result], massive


def assert_equal(result, site, expected):
    values, text, position, massive = expected
    assert result.text[site].tolist() == text
    assert result.position[site].tolist() == position
    assert result.n_massive[site] == massive
    assert result.text[site].dtype == result.position[site].dtype == torch.int64
    assert (result.activations[site] - values).abs().max() <= 1e-5 * values.abs().max()


@pytest.mark.parametrize("which", ["response", "all", "last"])
@pytest.mark.parametrize("texts", [PAIRS, MANY], ids=["packed", "prefix"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tokens_equal_a_plain_loop_over_hidden_states(wrapped, plain, name, texts, which):
    model = wrapped(name)
    result = model.capture_tokens(texts, SITES, tokens=which)
    rows = model.encoder().encode(texts)
    for site in SITES:
        assert_equal(result, site, by_hand(plain(name), rows, site, which))
    assert name == "bloom" or result.sharing.run < 0.75 * result.sharing.given


def test_the_answer_begins_where_scoring_begins_it(model):
    rows = model.encoder(chat_template=True).encode(PAIRS)
    result = model.capture_tokens(PAIRS, [Site(1)], chat_template=True)
    expected = [(i, t) for i, r in enumerate(rows) for t in range(r.prompt_len, len(r.ids))]
    assert list(zip(result.text[Site(1)].tolist(), result.position[Site(1)].tolist(), strict=True)) == expected


def test_attention_and_mlp_terms_are_read_as_single_vectors_are(model):
    sites = [Site(1, "attention"), Site(3, "mlp")]
    result = model.capture_tokens(PAIRS, sites, tokens="last")
    expected = model.capture(PAIRS, sites)
    for site in sites:
        assert result.text[site].tolist() == list(range(len(PAIRS)))
        torch.testing.assert_close(result.activations[site], expected.activations[site], rtol=1e-5, atol=1e-6)


def test_the_mean_over_answer_tokens_is_that_of_capture(model):
    result = model.capture_tokens(MANY, SITES)
    expected = model.capture(MANY, SITES, read="mean")
    for site in SITES:
        means = torch.stack([result.activations[site][result.text[site] == i].mean(dim=0) for i in range(len(MANY))])
        torch.testing.assert_close(means, expected.activations[site], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("which", ["response", "all"])
@pytest.mark.parametrize("texts", [PAIRS, MANY], ids=["packed", "prefix"])
def test_what_twins_begin_with_is_left_out_and_counted(model, plain, texts, which):
    rows = model.encoder().encode(texts)
    twins: list[int | None] = [i - i % 3 + (i + 1) % 3 for i in range(len(texts))]
    twins[-1] = None
    begins = [0] * len(rows)
    for i, j in enumerate(twins):
        while j is not None and rows[i].ids[: begins[i] + 1] == rows[j].ids[: begins[i] + 1]:
            begins[i] += 1
    kept = model.capture_tokens(texts, SITES, tokens=which, twins=twins)
    result = model.capture_tokens(texts, SITES, tokens=which, twins=twins, drop_identical=True)
    for site in SITES:
        expected = by_hand(plain(), rows, site, which, begins)
        assert_equal(result, site, expected)
        assert result.n_identical == kept.n_identical == len(kept.text[site]) - len(expected[0]) > 0


def test_massive_activations_are_left_out_site_by_site_and_counted(wrapped, plain):
    model, hf = wrapped(), plain()
    for m in (model.hf, hf):
        m.get_input_embeddings().weight.data[50] *= 300  # huge in the residual, not behind the norm before a term
    rows = [Encoded((1, 20, 21, 22, 50, 23, 24, 25, 26), 2), Encoded((1, 50, 31, 32, 33, 34, 50, 35, 36, 37), 3)]
    sites = [Site(1), Site(1, "attention")]
    result = capture_tokens(model, rows, sites, "all")
    assert result.n_massive == {sites[0]: 3, sites[1]: 0}
    assert_equal(result, sites[0], by_hand(hf, rows, sites[0], "all"))
    assert len(result.text[sites[1]]) == len(result.text[sites[0]]) + 3 == 8 + 9
    assert capture_tokens(model, rows, sites[:1], "response").n_massive == {sites[0]: 2}
    assert capture_tokens(model, rows, sites[1:], "all").position[sites[1]].equal(result.position[sites[1]])


def test_massive_activations_of_a_shared_prefix_are_left_out_of_every_text(wrapped, plain):
    model, hf = wrapped(), plain()
    for m in (model.hf, hf):
        m.get_input_embeddings().weight.data[50] *= 300
    rows = [Encoded((1, 20, 50, *range(60, 90), 100 + i, 101, 102 + i), 20) for i in range(12)]
    result = capture_tokens(model, rows, [Site(1)], "all")
    assert result.sharing.run < 0.3 * result.sharing.given
    assert result.n_massive == {Site(1): 12}
    assert_equal(result, Site(1), by_hand(hf, rows, Site(1), "all"))


def test_half_precision_is_kept_as_it_was_computed(wrapped, tmp_path):
    for dtype, stored in ((torch.bfloat16, "uint16"), (torch.float16, "float16")):
        model = wrapped(dtype=dtype)
        expected = model.capture(PAIRS, SITES)
        memory = model.capture_tokens(PAIRS, SITES, tokens="last")
        folder = model.capture_tokens(PAIRS, SITES, tokens="last", into=tmp_path / stored)
        for site in SITES:
            assert memory.activations[site].dtype == folder.activations[site].dtype == dtype
            assert torch.equal(memory.activations[site].float(), expected.activations[site])
            assert torch.equal(folder.activations[site], memory.activations[site])
        raw = np.load(tmp_path / stored / "2.npy", mmap_mode="r")
        assert raw.dtype == stored
        if dtype == torch.bfloat16:
            wide = (raw.astype(np.uint32) << 16).view(np.float32)
            assert np.array_equal(wide, expected.activations[Site(2)].numpy())


def test_what_cannot_be_captured_is_refused(model, adding, tmp_path):
    rows = model.encoder().encode(PAIRS)
    for call, message in (
        (lambda: model.capture_tokens("one text", SITES), "a list of texts"),
        (
            lambda: model.capture_tokens(PAIRS, SITES, tokens="some"),
            "unknown tokens 'some'; one of response, all, last",
        ),
        (lambda: model.capture_tokens(PAIRS, []), "name at least one site"),
        (lambda: model.capture_tokens(PAIRS, [9], into=tmp_path / "n"), "blocks 0 to 3"),
        (lambda: model.capture_tokens([], SITES), "no texts"),
        (lambda: model.capture_tokens([], SITES, into=tmp_path / "e"), "no texts"),
        (lambda: model.capture_tokens([*PAIRS, Rendered("", "no answer", "")], SITES), "text 7 has no answer tokens"),
        (lambda: capture_tokens(model, [Encoded((1,), 1)], SITES, "last"), "text 1 has no token after its first"),
        (lambda: model.capture_tokens(PAIRS, SITES, drop_identical=True), "needs twins"),
        (lambda: model.capture_tokens(PAIRS, SITES, twins=[0]), "1 twins for 6 texts"),
        (lambda: model.capture_tokens(PAIRS, SITES, twins=[6] * 6), "twin of text 1 has the index 6"),
        (lambda: capture_tokens(model, rows, SITES, twins=list(range(6)), drop_identical=True), "no token is left at"),
        (
            lambda: capture_tokens(model, rows, SITES, into=tmp_path / "t", twins=list(range(6)), drop_identical=True),
            "no token is left at",
        ),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert not (tmp_path / "n").exists()
    with model.steered(adding(1)), pytest.raises(InputError, match="unsteered"):
        model.capture_tokens(PAIRS, SITES)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_no_numbers_are_refused_and_not_taken_for_massive(model, bare_hook, value):
    rows = [Encoded((1, 20, 21, 22), 2), Encoded((1, 31, 32, 50), 3)]

    def broken(h):
        h = h.clone()
        h[1, 3, 7] = value
        return h

    for which in ("response", "all"):
        with (
            bare_hook(model.anatomy.blocks[1], broken),
            pytest.raises(InputError, match=r"1 of \d activations at site 1 .*the first is text 2, dtype float32"),
        ):
            capture_tokens(model, rows, [Site(1)], which)


def test_activations_whose_squares_overflow_are_massive_and_not_refused(model, bare_hook):
    rows = [Encoded((1, 20, 21, 22), 2), Encoded((1, 31, 32, 50), 3)]
    at_last = torch.tensor([1.0, 1.0, 1.0, 1e30])[None, :, None]
    with bare_hook(model.anatomy.blocks[1], lambda h: h * at_last):
        result = capture_tokens(model, rows, [Site(1)], "all")
    assert result.n_massive == {Site(1): 2}
    assert result.position[Site(1)].tolist() == [1, 2, 1, 2]


def test_memory_that_runs_out_halves_batches_and_changes_nothing(model, monkeypatch):
    expected = model.capture_tokens(MANY, SITES, tokens="all")
    forward, failed = Model.forward, []

    def scarce(self, batch, *rest, **named):
        if batch.ids.numel() > 60 and len(batch.ids) > 1:
            failed.append(batch)
            raise torch.OutOfMemoryError("scarce")
        return forward(self, batch, *rest, **named)

    monkeypatch.setattr(Model, "forward", scarce)
    result = model.capture_tokens(MANY, SITES, tokens="all")
    assert failed
    for site in SITES:
        torch.testing.assert_close(result.activations[site], expected.activations[site], rtol=1e-5, atol=1e-5)
        assert result.position[site].equal(expected.position[site])


@pytest.mark.embedded
@pytest.mark.parametrize("which", ["response", "all"])
def test_the_embedded_model_gives_what_transformers_gives(embedded, which):
    texts = [
        Rendered("", "The capital of France is", " Paris, a city on the Seine."),
        Rendered("", "The capital of France is", " Berlin."),
        Rendered("", "Water boils at", " 100 degrees.\n\nOr so it is said."),
    ]
    sites = [Site(8), Site(14), Site(28)]
    rows = embedded.encoder().encode(texts)
    result = embedded.capture_tokens(texts, sites, tokens=which)
    for site in sites:
        values, text, position, massive = by_hand(embedded.hf, rows, site, which)
        assert result.text[site].tolist() == text
        assert result.position[site].tolist() == position
        assert result.n_massive[site] == massive
        close = torch.nn.functional.cosine_similarity(result.activations[site], values, dim=1)
        assert close.min() > 1 - 1e-6
        assert (result.activations[site] - values).norm(dim=1).max() < 1e-4 * values.norm(dim=1).max()


def test_what_heads_give_is_kept_by_token_too_whatever_its_width(wrapped, tmp_path):
    model, site = wrapped("qwen3", head_dim=16), Site(2, "heads")
    row = model.encoder().encode([PAIRS[0]])[0]
    batch = collate([row], 0, model.device)
    expected = model.forward(batch, Plan(read=frozenset([site]))).activations[site][0, row.prompt_len :]
    assert expected.shape[1] == 64 != model.d_model
    for into in (None, tmp_path / "t"):
        result = capture_tokens(model, [row], [site], "response", into)
        torch.testing.assert_close(result.activations[site], expected, atol=1e-5, rtol=1e-5)
