"""What many tests share: where real data lies, the embedded model, tiny random models."""

import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch

Run = Callable[..., tuple[int, str, str]]  # arguments of the command line to exit code, output and errors

CHAT_TEMPLATE = """{% for m in messages %}{{ m.role }}: {{ m.content }}
{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"""

torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))


def _missing(part: str, reason: str) -> None:
    """Skip, unless CI requires the part."""
    if part in os.environ.get("TRIMTAB_REQUIRE", "").split(","):
        pytest.fail(f"{part} is required here, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def require() -> Callable[[str, str], Any]:
    """A module by its name, and the package that it comes from; TRIMTAB_REQUIRE may name the package.

    Such packages are installed into environments of their own, so that most runs skip their tests.
    """

    def found(module: str, package: str) -> Any:
        if find_spec(module) is None:
            _missing(package, f"{package} is not installed (pip install {package}, in an environment of its own)")
        return import_module(module)

    return found


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with the public data sets."""
    given = os.environ.get("TRIMTAB_DATA")
    if not given or not Path(given).is_dir():
        _missing("data", "TRIMTAB_DATA does not name the folder with the public data sets")
    return Path(str(given))


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        result = shutil.which(name)
        if result:
            return result
    _missing("browser", "there is no chromium on the PATH")
    raise AssertionError


@pytest.fixture(scope="session")
def postgres() -> Iterator[Callable[[str], str]]:
    """A PostgreSQL of our own, on a socket in a temporary folder: makes a database for a word, gives its URL."""
    found = shutil.which("initdb") or next(map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None)
    if found is None:
        _missing("postgres", "PostgreSQL is not installed (apt-get install postgresql)")
    programs = Path(str(found)).resolve().parent
    ordinary, user = [], None
    if os.geteuid() == 0:  # which PostgreSQL refuses to be run by
        user = pwd.getpwnam("nobody")
        ordinary = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
    with tempfile.TemporaryDirectory(prefix="trimtab-pg-") as folder:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, numbers = f"{folder}/data", count()

        def asked(program: str, *arguments: str) -> None:
            call = [*ordinary, str(programs / program), *arguments]
            done = subprocess.run(call, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            assert done.returncode == 0, done.stdout

        def database(name: str) -> str:
            name = f"{name}_{next(numbers)}"  # tests of several files share the server
            asked("createdb", "--host", folder, "--username", "trimtab", name)
            return f"postgresql://trimtab@/{name}?host={folder}"

        asked("initdb", "--pgdata", data, "--username", "trimtab", "--auth", "trust", "--no-sync")
        settings = f"-c listen_addresses= -k {folder} -c fsync=off"
        asked("pg_ctl", "--pgdata", data, "--wait", "--log", f"{folder}/log", "--options", settings, "start")
        try:
            yield database
        finally:
            asked("pg_ctl", "--pgdata", data, "--mode", "immediate", "stop")


@pytest.fixture(scope="session")
def embedded() -> object:
    """The embedded model in float32, loaded once per process."""
    import trimtab as tt
    from trimtab.models.loading import embedded_file

    if embedded_file() is None:
        _missing("embedded", "the embedded model is not installed (make install)")
    return tt.load("smollm2", dtype="float32")


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random Llama with a byte-level tokenizer, saved as a transformers folder: every text can be put to it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    from trimtab.behaviors import builtin

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [e.prompt + e.positive for e in builtin("sentiment").examples]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        clean_up_tokenization_spaces=False,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast), hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=1024, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        initializer_range=0.2,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    LlamaForCausalLM(config).save_pretrained(folder)
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tied_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model whose residual stream is mostly its tokens' embeddings, by which it writes too: the vector of an
    answer is nearly the same whatever stands before, and makes the answer likelier."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    folder = tmp_path_factory.mktemp("tied") / "tiny"
    config = LlamaConfig.from_pretrained(tiny_folder, tie_word_embeddings=True, initializer_range=0.05)
    torch.manual_seed(0)
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.model.embed_tokens.weight.mul_(8)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tiny_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def chat_folder(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a chat template."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("chat") / "tiny"
    shutil.copytree(tiny_folder, folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in this process; gives exit code, standard output and standard error."""

    from trimtab.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["trimtab", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(stopped.value.code or 0), out, err

    return call
