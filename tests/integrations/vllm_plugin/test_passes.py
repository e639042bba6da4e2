"""The seam in a worker: passes, the operation in compiled graphs, and both runners, against fakes; no vLLM."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from tests.integrations.vllm_plugin.steerings import edits
from torch import Tensor, nn

import trimtab as tt
from trimtab.errors import InertSteeringError, InputError
from trimtab.integrations.vllm.architectures import Architecture
from trimtab.integrations.vllm.passes import SteeredRequests, edit_in_place, running
from trimtab.integrations.vllm.runners import steer_first_runner, steered_model_state
from trimtab.integrations.vllm.seam import arm
from trimtab.integrations.vllm.setup import Setup
from trimtab.integrations.vllm.workers import stored
from trimtab.steering.edits import StoredEdit

CPU = torch.device("cpu")
WIDTH = 8
WARM = tt.Steering({1: edits(WIDTH)["additive"], "mlp:0": edits(WIDTH)["gated"]}, {"warm": 1.0})


def told(strength: float = 1.0, scope: str = "all") -> dict[str, Any]:
    return {"trimtab": {"artifact": "warm", "strength": {"warm": strength}, "scope": scope}}


def requests() -> SteeredRequests:
    return SteeredRequests({"warm": WARM}.__getitem__)


@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("kind", edits(WIDTH))
def test_a_pass_edits_each_requests_tokens_in_scope_and_leaves_all_others_bit_equal(
    kind: str, with_residual: bool
) -> None:
    edit: StoredEdit = edits(WIDTH)[kind]
    steering = tt.Steering({1: edit}, {"x": 1.0})
    steered = SteeredRequests({"s": steering}.__getitem__)
    for id, strength, scope in (("a", 2.0, "all"), ("b", 1.0, "generated"), ("c", 1.0, "prompt")):
        extra = {"trimtab": {"artifact": "s", "strength": {"x": strength}, "scope": scope}}
        steered.add(id, extra, prompt_len=4)
    steered.add("plain", None, prompt_len=4)
    order = [("plain", 0, 3), ("a", 2, 2), ("b", 2, 3), ("c", 3, 2)]
    generator = torch.Generator().manual_seed(0)
    hidden, residual = (torch.randn(12, WIDTH, generator=generator) for _ in range(2))  # 2 tokens of padding behind
    whole = hidden + residual if with_residual else hidden
    wanted = whole.clone()
    chosen = {3: 2.0, 4: 2.0, 6: 1.0, 7: 1.0, 8: 1.0}  # places in the packed row, by the scopes' definition
    for place, strength in chosen.items():
        wanted[place] = edit(whole[place][None, None], torch.tensor([[strength]]))[0, 0]
    own, rest = hidden.clone(), residual.clone() if with_residual else None
    with running(steered.begin(order)):
        edit_in_place(own, rest, "1")
        edit_in_place(own, rest, "0")  # a site that nobody edits
    got = own if rest is None else own + rest
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5)
    others = [i for i in range(12) if i not in chosen]
    assert torch.equal(own[others], hidden[others])
    if rest is not None:
        assert torch.equal(rest[others], residual[others])
        assert not rest[list(chosen)].any()


@pytest.mark.parametrize("with_residual", [True, False])
@pytest.mark.parametrize("kind", edits(WIDTH))
def test_a_pass_whose_tokens_are_all_edited_leaves_the_padding_bit_equal(kind: str, with_residual: bool) -> None:
    edit: StoredEdit = edits(WIDTH)[kind]
    steered = SteeredRequests({"s": tt.Steering({1: edit}, {"x": 1.0})}.__getitem__)
    for id, strength in (("a", 2.0), ("b", -1.0)):
        steered.add(id, {"trimtab": {"artifact": "s", "strength": {"x": strength}, "scope": "all"}}, prompt_len=4)
    generator = torch.Generator().manual_seed(0)
    hidden, residual = (torch.randn(6, WIDTH, generator=generator) for _ in range(2))  # 2 tokens of padding behind
    whole = hidden + residual if with_residual else hidden
    strengths = torch.tensor([[2.0], [2.0], [2.0], [-1.0]])
    wanted = torch.cat([edit(whole[i][None, None], strengths[i][None])[0] for i in range(4)])
    own, rest = hidden.clone(), residual.clone() if with_residual else None
    with running(steered.begin([("a", 0, 3), ("b", 7, 1)])):
        edit_in_place(own, rest, "1")
    torch.testing.assert_close(own[:4], wanted, rtol=0, atol=1e-5)
    assert torch.equal(own[4:], hidden[4:])
    if rest is not None:
        assert not rest[:4].any()
        assert torch.equal(rest[4:], residual[4:])


def test_the_table_of_requests_frees_itself() -> None:
    steered = requests()
    for i in range(100):
        steered.add(str(i), told(), 3)
        steered.add(f"plain-{i}", None, 3)
        steered.forget([str(i - 1), "unknown"])
    assert len(steered) == 1
    steered.add("99", None, 3)  # an id that is used again, unsteered
    assert len(steered) == 0
    assert steered.begin([("99", 0, 3)]) is None


def test_a_request_that_was_given_up_is_run_again_from_its_first_token() -> None:
    steered = requests()
    steered.add("a", told(scope="generated"), prompt_len=3)
    first, decoding, again = (steered.begin([("a", start, n)]) for start, n in ((0, 3), (3, 1), (0, 5)))
    assert first is not None
    assert decoding is not None
    assert again is not None
    assert decoding.tokens(tt.Site(1), CPU) is None  # all that there are
    places = [edits.tokens(tt.Site(1), CPU).tolist() for edits in (first, again)]
    assert places == [[2], [2, 3, 4]]


def test_an_edit_that_never_ran_is_an_error() -> None:
    steered = requests()
    steered.add("a", told(), 3)
    with pytest.raises(InertSteeringError, match="never ran"), running(steered.begin([("a", 0, 3)])):
        edit_in_place(torch.ones(3, WIDTH), None, "1")  # and the mlp's site is never reached


class Block(nn.Module):
    """A block as vLLM's Llama has it: what it adds, and the residual beside."""

    def __init__(self) -> None:
        super().__init__()
        self.self_attn, self.mlp = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, WIDTH)

    def forward(self, h: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        residual = h if residual is None else h + residual
        residual = residual + self.self_attn(residual)
        return self.mlp(residual), residual


class Decoder(nn.Module):
    """Two of them."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.ModuleDict({"layers": nn.ModuleList([Block(), Block()])})

    @property
    def layers(self) -> Any:
        return self.model["layers"]

    def forward(self, h: Tensor) -> Tensor:
        residual: Tensor | None = None
        for block in self.layers:
            h, residual = block(h, residual)
        return h if residual is None else h + residual


@pytest.fixture
def decoder() -> Decoder:
    torch.manual_seed(0)
    return Decoder().eval()


def by_hand(decoder: Decoder, h: Tensor, steering: tt.Steering, strength: Tensor) -> Tensor:
    """The same in plain lines: `strength [N, 1]` of each token, edited by its own call."""
    for k, block in enumerate(decoder.layers):
        h = h + block.self_attn(h)
        for site, value in ((tt.Site(k, "mlp"), block.mlp(h)), (tt.Site(k), None)):
            h = h + value if value is not None else h
            if (edit := steering.edits.get(site)) is not None and value is not None:
                term = edit(value[:, None], strength)[:, 0].where(strength != 0, value)
                h = h - value + term
            elif edit is not None:
                h = edit(h[:, None], strength)[:, 0].where(strength != 0, h)
    return h


def test_a_compiled_graph_serves_every_steering_without_being_compiled_again(decoder: Decoder) -> None:
    compiles = []

    def counted(graph: Any, inputs: Any) -> Callable[..., Any]:
        compiles.append(graph)
        return graph.forward

    armed = arm(decoder, Architecture("llama"), ["1", "mlp:0"])
    assert armed == ["1", "mlp:0"]
    compiled = torch.compile(decoder, fullgraph=True, backend=counted, dynamic=True)
    h = torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(1))
    steered = requests()
    with torch.no_grad():
        plain = compiled(h.clone())
        for strength in (1.0, -2.0):
            steered.add("a", told(strength), prompt_len=4)
            with running(steered.begin([("plain", 0, 2), ("a", 0, 4)])):
                got = compiled(h.clone())
            each = torch.tensor([[0.0]] * 2 + [[strength]] * 4)
            torch.testing.assert_close(got, by_hand(decoder, h, WARM, each), rtol=0, atol=1e-4)
            assert torch.equal(got[:2], plain[:2])
    assert len(compiles) == 1
    assert "trimtab.edit" in compiles[0].code


def test_blocks_of_other_pipeline_stages_are_armed_there(decoder: Decoder) -> None:
    class PPMissingLayer(nn.Identity):
        pass

    decoder.layers[0] = PPMissingLayer()
    assert arm(decoder, Architecture("llama"), ["1", "mlp:1"]) == ["1", "mlp:1"]
    assert arm(decoder, Architecture("llama"), ["0", "mlp:0"]) == []
    for layout in (Architecture("llama", mlp="ffn"), Architecture("llama", blocks="transformer.h")):
        with pytest.raises(InputError, match="builds it otherwise"):
            arm(decoder, layout, ["mlp:1"])


def test_a_pipeline_stage_edits_in_its_own_blocks_alone(decoder: Decoder, tmp_path: Path) -> None:
    WARM.save(tmp_path / "warm")
    h = torch.randn(3, WIDTH, generator=torch.Generator().manual_seed(4))
    whole, each = by_hand(decoder, h, WARM, torch.ones(3, 1)), told()
    each["trimtab"]["artifact"] = WARM.id
    arm(decoder, Architecture("llama"), ["1", "mlp:0"])
    tables = [SteeredRequests(stored(Setup(tmp_path), sites)) for sites in (["mlp:0"], ["1"], [])]
    for table in tables:
        table.add("a", each, prompt_len=3)
    first, second, third = (table.begin([("a", 0, 3)]) for table in tables)
    assert (first.sites, second.sites, third.sites) == ([tt.Site(0, "mlp")], [tt.Site(1)], [])
    block, other = decoder.layers
    with torch.no_grad():
        with running(first):
            passed = block(h.clone(), None)
        with running(second):
            own, residual = other(*passed)
        torch.testing.assert_close(own + residual, whole, rtol=0, atol=1e-4)
        with running(third):
            pass


def test_a_steering_that_is_not_in_the_folder_of_a_worker_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no steering"):
        stored(Setup(tmp_path), [])("f" * 64)


def new_request(id: str, extra: dict[str, Any] | None, prompt_len: int) -> Any:
    return SimpleNamespace(req_id=id, sampling_params=SimpleNamespace(extra_args=extra), prompt_len=prompt_len)


class FirstRunner:
    """As vLLM's first model runner: its batch is laid out behind `_update_states`."""

    def __init__(self, model: Decoder) -> None:
        self.model, self.input_batch = model, SimpleNamespace(req_ids=[])
        self.requests: dict[str, Any] = {}

    def _update_states(self, scheduled: Any) -> str:
        for id in scheduled.finished_req_ids:
            self.requests.pop(id, None)
        for new in scheduled.scheduled_new_reqs:
            self.requests[new.req_id] = SimpleNamespace(num_computed_tokens=0)
        self.input_batch.req_ids = sorted(scheduled.num_scheduled_tokens, reverse=True)  # its own order
        return "kept"

    def _model_forward(self, h: Tensor) -> Tensor:
        return self.model(h)

    def run(self, scheduled: Any, h: Tensor) -> Tensor:
        assert self._update_states(scheduled) == "kept"
        out = self._model_forward(h)
        for id, n in scheduled.num_scheduled_tokens.items():
            self.requests[id].num_computed_tokens += n
        return out


def scheduled(tokens: dict[str, int], new: list[Any] | None = None, finished: set[str] | None = None) -> Any:
    return SimpleNamespace(
        num_scheduled_tokens=tokens, scheduled_new_reqs=new or [], finished_req_ids=finished or set()
    )


def test_the_first_runner_tells_of_each_pass_in_the_order_of_its_batch(decoder: Decoder) -> None:
    class Runner(FirstRunner):
        pass

    table = requests()
    arm(decoder, Architecture("llama"), ["1", "mlp:0"])
    for _ in range(2):  # plug-ins may be called more than once
        steer_first_runner(Runner, lambda runner: table)
    runner, h = Runner(decoder), torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(2))
    new = [new_request("a", told(2.0, "generated"), 3), new_request("b", None, 4)]
    with torch.no_grad():
        # chunks: of b two tokens come first in the batch, of a all three
        got = runner.run(scheduled({"a": 3, "b": 2}, new), h.clone())
        each = torch.tensor([[0.0], [0.0], [0.0], [0.0], [2.0]])
        torch.testing.assert_close(got, by_hand(decoder, h, WARM, each), rtol=0, atol=1e-4)
        got = runner.run(scheduled({"a": 1, "b": 2}), h[:3].clone())
        torch.testing.assert_close(got, by_hand(decoder, h[:3], WARM, each[2:]), rtol=0, atol=1e-4)
        plain = runner._model_forward(h.clone())  # one that vLLM runs to warm up
        torch.testing.assert_close(plain, by_hand(decoder, h, WARM, torch.zeros(5, 1)), rtol=0, atol=1e-4)
        assert len(table) == 1
        runner.run(scheduled({"b": 1}, finished={"a"}), h[:1].clone())
    assert len(table) == 0


def test_two_models_of_one_process_have_their_own_requests(decoder: Decoder) -> None:
    class Runner(FirstRunner):
        pass

    other = Decoder()
    tables = {id(model): requests() for model in (decoder, other)}
    for _ in tables:
        steer_first_runner(Runner, lambda runner: tables[id(runner.model)])
    for model in (decoder, other):
        arm(model, Architecture("llama"), ["1", "mlp:0"])
    with torch.no_grad():
        Runner(decoder).run(scheduled({"a": 3}, [new_request("a", told(), 3)]), torch.randn(3, WIDTH))
        Runner(other).run(scheduled({"b": 3}, [new_request("b", None, 3)]), torch.randn(3, WIDTH))
    assert [len(table) for table in tables.values()] == [1, 0]


def test_a_runner_whose_model_is_not_armed_stays_as_it_is(decoder: Decoder) -> None:
    class Runner(FirstRunner):
        pass

    steer_first_runner(Runner, lambda runner: None)
    runner, h = Runner(decoder), torch.randn(3, WIDTH)
    with torch.no_grad():
        got = runner.run(scheduled({"a": 3}, [new_request("a", told(), 3)]), h.clone())
        assert torch.equal(got, decoder(h))


class State:
    """As vLLM's model state of the second runner."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def add_request(self, index: int, new: Any) -> None:
        self.seen.append(new.req_id)

    def remove_request(self, id: str) -> None:
        self.seen.remove(id)

    def prepare_inputs(self, batch: Any, states: Any) -> dict[str, Any]:
        return {"positions": None}

    def prepare_dummy_inputs(self, n: int, tokens: int) -> dict[str, Any]:
        return {}


def batch(*rows: tuple[str, int, int]) -> Any:
    ids, computed, tokens = zip(*rows, strict=True)
    return SimpleNamespace(
        req_ids=list(ids), num_computed_tokens_np=np.array(computed), num_scheduled_tokens=np.array(tokens)
    )


def test_the_second_runners_state_tells_of_each_pass(decoder: Decoder) -> None:
    table = requests()
    arm(decoder, Architecture("llama"), ["1", "mlp:0"])
    state = steered_model_state(State, table)()
    h = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(3))
    state.add_request(0, new_request("a", told(2.0), 3))
    state.add_request(1, new_request("b", None, 4))
    each = torch.tensor([[0.0], [0.0], [2.0], [2.0], [2.0]])
    with torch.no_grad():
        steered, plain = by_hand(decoder, h, WARM, each), decoder(h.clone())
        assert state.prepare_inputs(batch(("b", 0, 2), ("a", 0, 3)), None) == {"positions": None}
        torch.testing.assert_close(decoder(h.clone()), steered, rtol=0, atol=1e-4)
        state.prepare_dummy_inputs(1, 5)
        assert torch.equal(decoder(h.clone()), plain)
        state.prepare_inputs(batch(("a", 3, 1)), None)
        with pytest.raises(InertSteeringError):  # the pass before ran no edit
            state.prepare_inputs(batch(("a", 4, 1)), None)
    state.remove_request("a")
    assert (state.seen, len(table)) == (["b"], 0)
    with pytest.raises(InertSteeringError):
        state.prepare_dummy_inputs(1, 1)
