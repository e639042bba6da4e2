"""The provider `trimtab` of Inspect, on a task of local rows; needs `pip install inspect-ai`."""

import shutil
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

import trimtab as tt
from trimtab.errors import InputError
from trimtab.texts import Message, Rendered

pytestmark = pytest.mark.filterwarnings("ignore")  # Inspect's own

QUESTIONS = ["What are stars?", "Is rain wet?"]


@pytest.fixture(scope="session")
def inspect(require: Any) -> Any:
    """Inspect."""
    return require("inspect_ai", "inspect-ai")


@pytest.fixture(scope="session")
def chats(chat_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose template writes the token in front itself, as most do; Inspect adds none."""
    folder = tmp_path_factory.mktemp("chats") / "tiny"
    shutil.copytree(chat_folder, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = "{{ bos_token }}" + tokenizer.chat_template
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def artifact(chats: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A vector on disk."""
    model = tt.load(chats, dtype="float32")
    vector = tt.Steering.from_vector(1, 2 * torch.linspace(-1, 1, model.d_model), made_for=model.facts)
    return str(vector.save(tmp_path_factory.mktemp("steering") / "mine"))


@pytest.fixture
def written(inspect: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a model on two questions; gives its answers."""
    monkeypatch.setenv("INSPECT_LOG_DIR", str(tmp_path / "logs"))

    def run(model: str, **arguments: Any) -> list[str]:
        from inspect_ai.dataset import Sample
        from inspect_ai.model import get_model
        from inspect_ai.solver import generate

        import_module("trimtab.integrations.inspect_ai")  # an installed trimtab is found by its entry point
        task = inspect.Task(dataset=[Sample(input=q) for q in QUESTIONS], solver=generate())
        chosen = get_model(model, memoize=False, **arguments)
        (log,) = inspect.eval(task, model=chosen, max_tokens=8, temperature=0.0, display="none", log_dir=str(tmp_path))
        assert log.status == "success", log.error
        return [sample.output.completion for sample in log.samples]

    return run


def test_the_unsteered_model_answers_as_the_harness_own(written: Any, chats: Path) -> None:
    theirs = written(f"hf/{chats}", do_sample=False, device="cpu", dtype="float32")
    assert written(f"trimtab/{chats}", dtype="float32") == theirs
    assert any(theirs)


def test_steered_answers_are_trimtabs_own(written: Any, chats: Path, artifact: str) -> None:
    model, steering = tt.load(chats, dtype="float32"), tt.Steering.load(artifact)
    prompts = [Rendered("", q, "", messages=(Message("user", q),)) for q in QUESTIONS]
    options = {"chat_template": True, "max_new_tokens": 8}
    expected = [model.generate(p, steering=steering, strength=4.0, **options) for p in prompts]
    assert expected != [model.generate(p, **options) for p in prompts]
    assert written(f"trimtab/{chats}@{artifact}", dtype="float32", strength=4.0) == expected


def test_a_strength_without_a_steering_and_tools_are_refused(inspect: Any, chats: Path) -> None:
    import anyio
    from inspect_ai.model import GenerateConfig
    from inspect_ai.tool import ToolInfo

    from trimtab.integrations.inspect_ai import SteeredAPI

    with pytest.raises(InputError, match="a strength without a steering"):
        SteeredAPI(str(chats), strength=1.0)
    model = SteeredAPI(str(chats))
    for tools, config, says in (
        ([ToolInfo(name="clock", description="the time")], GenerateConfig(), "no tools"),
        ([], GenerateConfig(logprobs=True), "without log-probabilities"),
    ):
        with pytest.raises(InputError, match=says):
            anyio.run(model.generate, [], tools, "auto", config)


def test_inspect_finds_the_provider_by_its_entry_point() -> None:
    root = Path(__file__).parents[2]
    points = tomllib.loads((root / "pyproject.toml").read_text())["project"]["entry-points"]["inspect_ai"]
    assert list(points.values()) == ["trimtab.integrations.inspect_ai"]
    assert (root / "src" / f"{points['trimtab'].replace('.', '/')}.py").is_file()
