"""What texts have in common is run once and comes out as if each text had been run alone."""

import itertools
import random

import pytest
import torch
from tests.models.texts import CONTEXT, PROMPTS

from trimtab.errors import PlanError, TrimtabError
from trimtab.interventions import Site
from trimtab.models import Encoded, Plan, masks, prefix, sharing, steer
from trimtab.models.packing import Pack, collate_packs, one_per_row, pack
from trimtab.models.prefix import common_length
from trimtab.models.scoring import score, score_variants
from trimtab.texts import Rendered

ANSWERS = [" is Paris, and the capital of England is London.", " said no", " hello back in 2024."]
PAIRS = [Rendered("", CONTEXT[:40] + p, a) for p in PROMPTS[:2] for a in ANSWERS]  # too few for a prefix
MANY = [Rendered(CONTEXT, p, a) for p in PROMPTS for a in ANSWERS]
WINDOWS = ["mistral", "gemma2", "gemma3"]
ARCHITECTURES = ["llama", *WINDOWS, "gpt2", "gpt_neox", "opt", "phi", "falcon", "falcon_sequential", "bloom", "mixtral"]


def alone(model, texts, sites, read):
    """Every text by itself: nothing can be shared."""
    each = [model.capture([t], sites, read=read) for t in texts]
    assert all(c.sharing.run == c.sharing.given for c in each)
    return each


@pytest.mark.parametrize("read", ["last", "mean", "prompt"])
@pytest.mark.parametrize(("texts", "least_gain"), [(PAIRS, 1.4), (MANY, 3.5)], ids=["packed", "prefix"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shared_captures_equal_the_plain_path(wrapped, name, texts, least_gain, read):
    model = wrapped(name)
    sites = [Site(1), Site(3)]
    shared = model.capture(texts, sites, read=read)
    plain = alone(model, texts, sites, read)
    if name == "bloom" and texts is PAIRS:
        assert shared.sharing.run == shared.sharing.given
        assert "BloomForCausalLM" in shared.sharing.plain[0]
    else:
        assert shared.sharing.given >= (2.0 if name == "bloom" else least_gain) * shared.sharing.run
    for site in sites:
        expected = torch.cat([p.activations[site] for p in plain])
        assert (shared.activations[site] - expected).abs().max() <= 1e-5 * expected.abs().max()
        torch.testing.assert_close(shared.norms[site], torch.cat([p.norms[site] for p in plain]), rtol=1e-5, atol=1e-5)
        if read == "mean":
            assert shared.n_massive[site] == sum(p.n_massive[site] for p in plain)


@pytest.mark.parametrize("texts", [PAIRS, MANY], ids=["packed", "prefix"])
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_shared_scores_equal_the_plain_path(wrapped, name, texts):
    model = wrapped(name)
    rows = model.encoder().encode(texts)
    scores = score(model, rows)
    expected = torch.cat([score(model, [row]).total for row in rows])
    torch.testing.assert_close(scores.total, expected, rtol=1e-5, atol=1e-5)
    if name != "bloom":
        assert scores.sharing.run < scores.sharing.given
        assert scores.sharing.plain == ()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_steered_scores_of_packed_texts_equal_the_plain_path(wrapped, adding, name):
    model = wrapped(name)
    rows = model.encoder().encode(PAIRS)
    variants = [
        (),
        (steer(adding(2), 1.5),),
        (steer(adding(2), -1.5, "prompt"),),
        (steer(adding(0, seed=3), 1.0, "generated"), steer(adding(1), 0.5, "last")),
        (steer(adding("attention:1", "mlp:3") if name not in ("opt", "bloom") else adding(3), 1.0),),
    ]
    for variant, scores in zip(variants, score_variants(model, rows, variants), strict=True):
        expected = torch.cat([score(model, [row], variant).total for row in rows])
        torch.testing.assert_close(scores.total, expected, rtol=1e-5, atol=1e-5)
        assert name == "bloom" or scores.sharing.run < 0.8 * scores.sharing.given


def test_dtype_and_attention_implementation_do_not_matter(wrapped, plain, tokenizer):
    from trimtab.models import Model

    low = wrapped("llama", dtype=torch.bfloat16)
    assert low.packs
    hf = plain("gemma2")
    hf.set_attn_implementation("eager")  # masks are floats there
    model = Model(hf, tokenizer)
    assert model.packs
    captured = model.capture(PAIRS, [Site(3)])
    expected = torch.cat([c.activations[Site(3)] for c in alone(model, PAIRS, [Site(3)], "last")])
    torch.testing.assert_close(captured.activations[Site(3)], expected, rtol=1e-5, atol=1e-5)


def test_a_window_over_the_cached_prefix_is_kept(wrapped):
    """The prefix is longer than the window, so the cache has dropped its first tokens; packs stand behind it."""
    model = wrapped("gemma3")
    texts = [Rendered(CONTEXT, p, a + b) for p in PROMPTS for a in ANSWERS for b in ("", " now", " no")]
    captured = model.capture(texts, [Site(3)])
    assert captured.sharing.run < 0.2 * captured.sharing.given
    expected = torch.cat([c.activations[Site(3)] for c in alone(model, texts, [Site(3)], "last")])
    torch.testing.assert_close(captured.activations[Site(3)], expected, rtol=1e-5, atol=1e-5)


def test_where_masks_do_not_go_by_position_the_plain_path_is_taken_and_said(wrapped, monkeypatch):
    assert not wrapped("bloom").packs
    model = wrapped("llama")
    monkeypatch.setattr(masks, "_by_position", lambda given, batch: given)  # as an architecture that ignores them
    assert not model.packs
    captured = model.capture(PAIRS, [Site(2)])
    assert captured.sharing.run == captured.sharing.given
    assert captured.sharing.plain == (
        "texts with the same beginning are run in rows of their own: LlamaForCausalLM does not separate them by mask "
        "and position",
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["llama", "gemma3", "gpt2", "bloom"])
def test_whether_texts_share_rows_is_found_out_in_any_dtype(wrapped, name, dtype):
    assert wrapped(name, dtype=dtype).packs == (name != "bloom")


def test_attention_that_takes_no_such_mask_is_not_even_tried(wrapped, monkeypatch):
    model = wrapped("llama")
    assert model.packs
    monkeypatch.setattr(model.hf.config, "_attn_implementation", "flash_attention_2")
    monkeypatch.setattr(model, "forward", lambda *a, **k: pytest.fail("tried"))
    assert not model.packs


def test_memory_that_runs_out_while_trying_says_nothing_about_the_model(wrapped, monkeypatch):
    model = wrapped("llama")
    with monkeypatch.context() as patched:
        patched.setattr(model.hf, "forward", lambda **k: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA")))
        with pytest.raises(TrimtabError, match="out of memory"):
            _ = model.packs
    assert model.packs


@pytest.mark.parametrize("rope", ["dynamic", "longrope"])
def test_rotations_that_go_by_the_longest_text_keep_no_prefix(wrapped, rope):
    model = wrapped("llama")
    assert model.can_cache_prefix
    model.hf.config.rope_parameters = {"rope_type": rope, "rope_theta": 10000.0}
    assert not prefix.can_cache_prefix(model.hf)


def test_caches_of_more_than_keys_and_values_keep_no_prefix(wrapped, monkeypatch):
    model = wrapped("llama")
    monkeypatch.setattr(model.hf, "_supports_default_dynamic_cache", lambda: False, raising=False)
    model.can_cache_prefix = prefix.can_cache_prefix(model.hf)
    captured = model.capture(MANY, [Site(2)])
    assert captured.sharing.plain == (
        "a prefix is run for every text: LlamaForCausalLM's cache holds more than keys and values",
    )


def test_a_long_prefix_makes_small_batches(wrapped, monkeypatch):
    model, rows = wrapped("llama"), []
    monkeypatch.setattr(sharing, "CACHED_PER_TOKEN", 2)
    model.batch_tokens = 64
    original = prefix.Prefix.cache

    def cache(self, n):
        rows.append(n)
        return original(self, n)

    monkeypatch.setattr(prefix.Prefix, "cache", cache)
    model.capture(MANY, [Site(2)])
    assert max(rows) <= 64 // 20


def test_edits_by_row_and_steered_captures_take_the_plain_path_and_say_so(wrapped, adding):
    model = wrapped("llama")
    captured = model.capture(MANY, [Site(2)], steering=adding(1))
    assert captured.sharing.plain == ("a prefix is run for every text: edits are active",)
    with model.steered(adding(1)):
        inside = model.capture(MANY, [Site(2)])
    torch.testing.assert_close(inside.activations[Site(2)], captured.activations[Site(2)])
    by_row = model.capture(PAIRS, [Site(2)], steering=adding(1), strength=[0.0, 1.0, 2.0] * 2)
    assert by_row.sharing.run == by_row.sharing.given
    assert "edits differ by row" in by_row.sharing.plain[0]
    for i, text in enumerate(PAIRS):
        one = model.capture([text], [Site(2)], steering=adding(1), strength=[0.0, 1.0, 2.0][i % 3])
        torch.testing.assert_close(
            by_row.activations[Site(2)][i : i + 1], one.activations[Site(2)], rtol=1e-5, atol=1e-5
        )


def test_small_batches_share_without_touching_the_prefix(wrapped):
    model = wrapped("llama")
    together = model.capture(MANY * 2, [Site(2)], read="mean")
    model.batch_tokens = 24
    apart_ = model.capture(MANY * 2, [Site(2)], read="mean")
    torch.testing.assert_close(apart_.activations[Site(2)], together.activations[Site(2)], rtol=1e-5, atol=1e-5)


def test_texts_that_are_all_alike_still_own_what_is_read(wrapped):
    model = wrapped("llama")
    for read in ("last", "prompt", "mean"):
        captured = model.capture([MANY[0]] * 20, [Site(2)], read=read).activations[Site(2)]
        one = model.capture(MANY[:1], [Site(2)], read=read).activations[Site(2)]
        torch.testing.assert_close(captured, one.expand(20, -1), rtol=1e-5, atol=1e-5)


def test_a_packed_row_has_no_last_token(wrapped):
    model = wrapped("llama")
    rows = [Encoded((1, 5, 6, 7), 1), Encoded((1, 5, 8), 1)]
    packed = collate_packs([Pack((0, 1), 2, 5)], rows, 0, model.device)
    with pytest.raises(PlanError, match="no last token"):
        model.forward(packed.batch, Plan(logits="last"))


# -- which texts go into one row: against brute force


def tokens_run(packs):
    return sum(p.width for p in packs)


@pytest.mark.parametrize("seed", range(20))
def test_packs_hold_every_text_once_and_save_at_least_as_much_as_pairs(seed):
    draw = random.Random(seed)
    stems = [tuple(draw.choices(range(9), k=draw.randint(1, 6))) for _ in range(4)]
    rows = [
        Encoded((1, *draw.choice(stems), *draw.choices(range(9), k=draw.randint(1, 5))), draw.choice((1, 1, 2)))
        for _ in range(8)
    ]
    bounds = [len(r.ids) - draw.randint(1, 2) for r in rows]
    packs = pack(rows, bounds)
    assert sorted(t for p in packs for t in p.texts) == list(range(len(rows)))
    for p in packs:
        first = rows[p.texts[0]]
        assert all(rows[t].ids[: p.shared] == first.ids[: p.shared] for t in p.texts)
        assert all(rows[t].prompt_len == first.prompt_len and p.shared <= bounds[t] for t in p.texts)
        assert p.width == p.shared + sum(len(rows[t].ids) - p.shared for t in p.texts)
    assert tokens_run(packs) <= tokens_run(one_per_row(rows))


def test_packing_finds_the_pairs_that_brute_force_finds():
    rows = [Encoded((1, k, k, k, side, side), 4) for k, side in itertools.product((3, 4, 5), (7, 8))]
    packs = pack([rows[i] for i in (0, 2, 4, 1, 3, 5)], [4] * 6)
    assert sorted(p.texts for p in packs) == [(0, 3), (1, 4), (2, 5)]
    assert all((p.shared, p.width) == (4, 8) for p in packs)


def test_rows_of_several_texts_stay_narrow():
    rows = [Encoded((*range(50), 60 + k, 61 + k), 1) for k in range(300)]
    assert max(p.width for p in pack(rows, [50] * 300)) <= 256


def test_collating_packs_lays_tokens_where_the_index_says():
    rows = [Encoded((1, 2, 3, 4, 5), 2), Encoded((1, 2, 3, 9), 2), Encoded((1, 7), 2), Encoded((1, 2, 3, 4, 8, 6), 2)]
    packs = [Pack((0, 1, 3), 3, 9), Pack((2,), 0, 2)]
    for cached, shared in ((0, 3), (1, 2)):
        laid = [Pack(p.texts, min(p.shared, shared), p.width) for p in packs]
        packed = collate_packs(laid, rows, 0, torch.device("cpu"), cached)
        for values in (packed.batch.ids, packed.batch.position):
            unpacked = packed.unpacked(values)
            same = packed.separate.ids if values is packed.batch.ids else packed.separate.position
            assert torch.equal(unpacked[packed.separate.real], same[packed.separate.real])
        assert packed.texts.tolist() == [0, 1, 3, 2]


def test_common_length_is_what_all_rows_begin_with():
    rows = [Encoded((1, 2, 3, 4), 1), Encoded((1, 2, 3), 1), Encoded((1, 2, 5, 0), 1), Encoded((1, 2, 4), 1)]
    assert common_length(rows) == 2
    assert common_length(rows[:2]) == 3


def test_a_few_texts_keep_no_prefix_and_many_do(wrapped):
    rows = wrapped("llama").encoder().encode(MANY)
    bounds = [len(r.ids) - 1 for r in rows]
    assert [p.cached > 20 for p in sharing._split(rows, bounds, True, True)] == [True]
    assert [p.cached for p in sharing._split(rows[:6], bounds[:6], True, True)] == [0]


def test_joined_texts_share_too(wrapped):
    model = wrapped("llama")
    texts = [CONTEXT + p + a for p in PROMPTS[:2] for a in ANSWERS]
    captured = model.capture(texts, [Site(2)])
    assert captured.sharing.run < 0.5 * captured.sharing.given
    rendered = model.capture([Rendered("", CONTEXT + p, a) for p in PROMPTS[:2] for a in ANSWERS], [Site(2)])
    torch.testing.assert_close(captured.activations[Site(2)], rendered.activations[Site(2)], rtol=1e-5, atol=1e-5)


def test_both_sides_of_shots_get_a_prefix_of_their_own(wrapped):
    """Both begin with the same first question, and part at its answer."""
    model = wrapped("llama")
    shots = [f"Is the sky blue? {answer} {CONTEXT}" for answer in ("Yes, it is.", "No, it is green.")]
    texts = [Rendered(context, p, a) for context in shots for p in PROMPTS for a in ANSWERS]
    rows = model.encoder().encode(texts)
    portions = sharing._split(rows, [len(r.ids) - 1 for r in rows], True, True)
    assert [len(p.texts) for p in portions] == [15, 15]
    assert all(p.cached > 40 for p in portions)
    captured = model.capture(texts, [Site(2)])
    assert captured.sharing.run < 0.25 * captured.sharing.given
    expected = torch.cat([c.activations[Site(2)] for c in alone(model, texts, [Site(2)], "last")])
    torch.testing.assert_close(captured.activations[Site(2)], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("seed", range(20))
def test_portions_hold_every_text_once_behind_what_it_begins_with(seed):
    draw = random.Random(seed)
    stems = [(1, *draw.choices(range(5), k=draw.randint(0, 20))) for _ in range(5)]
    rows = [Encoded((*draw.choice(stems), *draw.choices(range(5), k=draw.randint(1, 9))), 1) for _ in range(90)]
    bounds = [len(r.ids) - 1 for r in rows]
    portions = sharing._split(rows, bounds, True, True)
    assert sorted(i for p in portions for i in p.texts) == list(range(90))
    for p in portions:
        assert all(row.ids[: p.cached] == p.prefix.ids for row in p.rows if p.prefix)
        assert all(bounds[i] >= p.cached for i in p.texts)
        assert p.prefix is None or (len(p.texts) >= 90 / sharing.MIN_TEXTS and p.cached >= sharing.MIN_PREFIX)
    assert sum(p.tokens for p in portions) <= sum(len(r.ids) for r in rows)
