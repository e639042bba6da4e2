"""What tests of several verbs share: small tasks as the command line takes them."""

import json

import pytest

import trimtab as tt


@pytest.fixture(scope="session")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The first rows of two built-in behaviors."""
    folder = tmp_path_factory.mktemp("tasks")
    found = []
    for name in ("sentiment", "formality"):
        rows = [
            json.dumps({"prompt": e.prompt, "positive": e.positive, "negative": e.negative})
            for e in tt.Behavior.builtin(name).examples[:40]
        ]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
        found.append(f"behavior:{folder / name}.jsonl?label={name}")
    return found
