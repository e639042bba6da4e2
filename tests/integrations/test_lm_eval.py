"""The model `trimtab` of lm-evaluation-harness, on a task of local rows; needs `pip install lm-eval`."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

import trimtab as tt
from trimtab.errors import InputError
from trimtab.models import Encoded
from trimtab.models.scoring import score

pytestmark = pytest.mark.filterwarnings("ignore")  # the harness' own

QUESTIONS = [
    ("Stars are", ["bright.", "made of cheese."]),
    ("Rain is", ["wet water.", "dry."]),
    ("Ice is", ["cold.", "hot."]),
]
TASK = """
task: trimtab_local
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
output_type: {kind}
doc_to_text: "{{{{question}}}}"
{rest}
"""
CHOICE = """doc_to_choice: "{{choices}}"
doc_to_target: 0
metric_list:
  - metric: acc
  - metric: acc_norm
"""
TEXT = """doc_to_target: "{{choices[0]}}"
generation_kwargs:
  until: ["\\n", "."]
  max_gen_toks: 12
metric_list:
  - metric: exact_match
"""


@pytest.fixture(scope="session")
def lm_eval(require: Any) -> Any:
    """The harness."""
    return require("lm_eval", "lm-eval")


@pytest.fixture(scope="session")
def artifact(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A vector with two presets, on disk."""
    model = tt.load(tiny_folder, dtype="float32")
    vector = tt.Steering.from_vector(1, 2 * torch.linspace(-1, 1, model.d_model), made_for=model.facts)
    return str(vector.changed(presets={"gentle": {"vector": 0.5}}).save(tmp_path_factory.mktemp("steering") / "mine"))


@pytest.fixture
def results(lm_eval: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a model on the local task; gives figures and, row by row, what the model answered."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(json.dumps({"question": q, "choices": c}) for q, c in QUESTIONS))

    def run(model: str, arguments: dict[str, Any], kind: str = "multiple_choice") -> tuple[dict[str, Any], list[Any]]:
        from lm_eval.tasks import TaskManager

        import_module("trimtab.integrations.lm_eval")  # registers it
        folder = tmp_path / kind
        folder.mkdir(exist_ok=True)
        rest = CHOICE if kind == "multiple_choice" else TEXT
        (folder / "task.yaml").write_text(TASK.format(file=file, kind=kind, rest=rest))
        out = lm_eval.simple_evaluate(
            model=model, model_args=arguments, tasks=["trimtab_local"], device="cpu", bootstrap_iters=0, batch_size=2,
            task_manager=TaskManager(include_path=str(folder), include_defaults=False),
        )  # fmt: skip
        answers = [sample["resps"] for sample in out["samples"]["trimtab_local"]]
        return {k: v for k, v in out["results"]["trimtab_local"].items() if isinstance(v, float)}, answers

    return run


def likelihoods(answers: list[Any]) -> list[list[tuple[float, bool]]]:
    return [[(float(total), bool(greedy)) for ((total, greedy),) in row] for row in answers]


@pytest.mark.parametrize("kind", ["multiple_choice", "generate_until"])
def test_the_unsteered_model_is_the_harness_own(results: Any, tiny_folder: Path, kind: str) -> None:
    ours = results("trimtab", {"pretrained": str(tiny_folder), "dtype": "float32"}, kind)
    theirs = results("hf", {"pretrained": str(tiny_folder), "dtype": "float32"}, kind)
    assert ours == theirs


def test_steered_likelihoods_are_trimtabs_own(results: Any, tiny_folder: Path, artifact: str) -> None:
    arguments = {"pretrained": str(tiny_folder), "steering": artifact}
    model, steering = tt.load(tiny_folder, dtype="float32"), tt.Steering.load(artifact)
    for strength, number in ((3, 3.0), ("gentle", 0.5), ({"vector": -2.0}, -2.0)):
        _, answers = results("trimtab", {**arguments, "strength": strength, "scope": "generated"})
        for (question, choices), row in zip(QUESTIONS, likelihoods(answers), strict=True):
            for choice, (total, _) in zip(choices, row, strict=True):
                before, whole = (model.tokenizer(t)["input_ids"] for t in (question, f"{question} {choice}"))
                encoded = Encoded(tuple(whole), len(before))
                expected = score(model, [encoded], (tt.models.steer(steering, number, "generated"),))
                assert total == pytest.approx(float(expected.total[0]), abs=1e-4)


def test_strength_0_scores_and_writes_as_the_unsteered_model(results: Any, tiny_folder: Path, artifact: str) -> None:
    plain = {"pretrained": str(tiny_folder)}
    zero = {**plain, "steering": artifact, "strength": 0}
    figures, answers = results("trimtab", plain)
    same, steered = results("trimtab", zero)
    assert figures == same
    for a, b in zip(likelihoods(answers), likelihoods(steered), strict=True):
        assert [greedy for _, greedy in a] == [greedy for _, greedy in b]
        assert [total for total, _ in a] == pytest.approx([total for total, _ in b], abs=1e-4)
    assert results("trimtab", plain, "generate_until") == results("trimtab", zero, "generate_until")


def test_steered_texts_are_trimtabs_own(results: Any, tiny_folder: Path, artifact: str) -> None:
    arguments = {"pretrained": str(tiny_folder), "steering": artifact, "strength": 4}
    _, answers = results("trimtab", arguments, "generate_until")
    _, plain = results("trimtab", {"pretrained": str(tiny_folder)}, "generate_until")
    assert answers != plain
    model = tt.load(tiny_folder, dtype="float32")
    with model.steered(tt.Steering.load(artifact), 4.0):
        for (question, _), ((text,),) in zip(QUESTIONS, answers, strict=True):
            ids = model.tokenizer(question, return_tensors="pt")["input_ids"]
            new = model.hf.generate(input_ids=ids, max_new_tokens=12, do_sample=False)[0, ids.shape[1] :]
            whole = model.tokenizer.decode(new, skip_special_tokens=True)
            assert text == whole.split("\n")[0].split(".")[0]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"steering": "nowhere"}, "nowhere"),
        ({"strength": 1.0}, "a strength without a steering"),
        ({"pretrained": "no/such/folder/there"}, "there"),
        ({"dtype": "float8"}, "unknown dtype"),
    ],
)
def test_what_cannot_be_loaded_says_so(lm_eval: Any, tiny_folder: Path, options: dict[str, Any], says: str) -> None:
    from trimtab.integrations.lm_eval import SteeredLM

    with pytest.raises(InputError, match=says):
        SteeredLM(**{"pretrained": str(tiny_folder), **options})


def test_without_a_gpu_the_device_that_the_harness_assumes_is_the_cpu(lm_eval: Any, tiny_folder: Path) -> None:
    from trimtab.integrations.lm_eval import SteeredLM

    model = SteeredLM(pretrained=str(tiny_folder), device="cuda:0")
    assert model.device.type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_text_longer_than_the_context_is_scored_in_windows_as_the_harness_does(
    lm_eval: Any, tiny_folder: Path, artifact: str
) -> None:
    from lm_eval.api.instance import Instance

    from trimtab.integrations.lm_eval import SteeredLM

    request = Instance("loglikelihood_rolling", {}, ("Rain is wet water, and ice is cold. " * 20,), 0)
    plain = SteeredLM(pretrained=str(tiny_folder), max_length=16)
    steered = SteeredLM(pretrained=str(tiny_folder), max_length=16, steering=artifact, strength=0)
    expected = plain.loglikelihood_rolling([request])
    assert steered.loglikelihood_rolling([request]) == pytest.approx(expected, abs=1e-3)


def test_texts_in_front_of_prompts_are_refused(lm_eval: Any, tiny_folder: Path, tmp_path: Path) -> None:
    from trimtab.integrations.lm_eval import SteeredLM

    folder = tt.Steering({}, {"brief": 1.0}, prompts={"brief": ("Be brief. ", "")}).save(tmp_path / "brief")
    with pytest.raises(InputError, match="system_instruction"):
        SteeredLM(pretrained=str(tiny_folder), steering=str(folder))
