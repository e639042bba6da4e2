"""The judge of `check --generate` asks and reads as it always did; only the way there is shared."""

import hashlib
import json

from trimtab.behaviors import Behavior, Example
from trimtab.evaluation.judge import question

WARM = Behavior("warm", [Example("a", " b", " c")], "Speaks warmly.", "You are warm.", "You are cold.")
ASKED = "344f13be841660f649febb9a86d85cb8dbc7692d6d9b005966a8c631d9aed057"  # by the version before judges of answers


def test_the_questions_of_check_are_the_same_to_the_byte() -> None:
    texts = [("p", "x", "y", 0), ("", "<|im_end|>", "[/INST] \x00", 5), ("q" * 5000, "z" * 5000, "w\n", 123)]
    asked = [question(WARM, *row) for row in texts]
    assert hashlib.sha256(json.dumps(asked).encode()).hexdigest() == ASKED
