"""The words and the artifact on disk need no torch: what serves, releases and audits runs without."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tests.steering.every_kind import EDITS, steering_of

from trimtab.interventions import Condition
from trimtab.steering.artifact import TENSORS

_HEAVY = "sorted({'torch', 'transformers'} & {name.partition('.')[0] for name in sys.modules})"


def fresh(code: str, *arguments: str) -> list[object]:
    """What the code, in an interpreter of its own, puts into `result`; and the heavy libraries that it loaded."""
    whole = f"import json, sys\n{code}\nprint(json.dumps([result, {_HEAVY}]))"
    done = subprocess.run([sys.executable, "-c", whole, *arguments], capture_output=True, text=True, check=True)
    values: list[object] = json.loads(done.stdout.splitlines()[-1])
    return values


@pytest.mark.parametrize("room", ["trimtab.interventions", "trimtab.steering", "trimtab.steering.artifact"])
def test_importing_the_words_and_the_artifact_loads_no_torch(room: str) -> None:
    assert fresh(f"import {room}\nresult = 1") == [1, []]


def test_the_public_words_load_no_torch() -> None:
    code = "import trimtab as tt\nresult = [str(tt.Site.of('mlp:3')), tt.Condition(3, [1.0, 2.0], 0.5).threshold]"
    assert fresh(code) == [["mlp:3", 0.5], []]


_READ = """
from pathlib import Path
from trimtab.interventions import prompt_prefixes, strength_rows
from trimtab.steering.artifact import read
result = {}
for folder in sorted(Path(sys.argv[1]).iterdir()):
    a = read(folder)
    result[folder.name] = [
        a.id, sorted(a.kinds), a.attributes, strength_rows(a, "soft"), prompt_prefixes(a, "soft"),
        str(a.conditions["a"][0].site), a.reliability,
    ]
"""


def test_a_folder_is_verified_named_and_its_strengths_resolved_without_torch(tmp_path: Path) -> None:
    report = {"attributes": {"a": {"decision": "go"}}}
    expected = {}
    for kind in EDITS:
        made = steering_of(kind).changed(
            presets={"soft": {"b": -0.5}},
            conditions={"a": Condition("mlp:1", torch.ones(32), 0.25)},
            prompts={"b": ("Be b. ", "Be no b. ")},
        )
        made.save(tmp_path / kind, report)
        kinds = sorted({one for kinds in made.kinds.values() for one in kinds})
        soft = [{"a": 1.0, "b": -0.5}]
        expected[kind] = [made.id, kinds, {"a": 1.0, "b": 1.0}, soft, ["Be no b. "], "mlp:1", report]
    assert fresh(_READ, str(tmp_path)) == [expected, []]


_REFUSE = """
from pathlib import Path
from trimtab.errors import InputError
from trimtab.steering.artifact import read
try:
    result = read(Path(sys.argv[1])).id
except InputError as error:
    result = str(error)
"""


def test_a_changed_folder_is_refused_without_torch(tmp_path: Path) -> None:
    file = steering_of("gated").save(tmp_path / "s") / TENSORS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    message, heavy = fresh(_REFUSE, str(tmp_path / "s"))
    assert f"{TENSORS} was changed after it was written" in str(message)
    assert heavy == []
