"""Answers that have broken down, as the embedded model wrote them, are caught; plain texts of all kinds are not."""

import random
from pathlib import Path

import pytest

import trimtab
from trimtab.behaviors import Behavior
from trimtab.operations import Exposure, ExposureLog, Store
from trimtab.operations.exposures.degenerate import is_degenerate

# Written by the embedded model under its sentiment steering at eight times the strength, and at four times.
BROKEN = (
    " include several several two several several two this in this is this is this is we can we",
    " to to to to to to to it\n\n\n\n\n\n\n\n\n\n\n\n\n",
    ",\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
    " it is this un\n\n, it is this this it is this this is this is this is this is this is this\n\n",
    " the\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n\n",
    " who feels is un equipped to be and we are together\n\n\n\n\n\n\n\n\n\n\n\n\ntra\n\n",
    " the one that we can't eat, it's not okay to eat that way, it's not okay to eat that way, it's not okay to eat "
    "that way, it's not okay to eat that way, it's not okay to think",
    " :\n\n:\n\n:\n\n\n,\n\n\n\n\n\n\n\n\n this\n\n\n",
    "", " ", "\n", " \n\t\n", "!" * 40, "The answer is aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "Yes." + " " * 300 + "No.",
    "これはこれはこれはこれはこれはこれはこれはこれは",
    "We went to the the house the house the the house of the house the the",
)  # fmt: skip
PLAIN = (
    "Yes.", "No", "42", "?", "👍", "OK, thanks!", "はい。", "…",
    "I had had enough; that that is, is. Bid came after bid after bid, day after day.",
    "It went on and on and on, for ever and ever. She claims, she claims, that it was very, very, very good.",
    "Row, row, row your boat,\nGently down the stream.\nMerrily, merrily, merrily, merrily,\nLife is but a dream.",
    "Tyger Tyger, burning bright,\nIn the forests of the night;\nWhat immortal hand or eye,\nCould frame thy fearful "
    "symmetry?",
    "1. Wash the rice.\n2. Wash the pot.\n3. Wash the spoon.\n4. Wash the lid.\n5. Wash your hands.",
    "- [ ] milk\n- [ ] milk\n- [ ] milk\n- [ ] eggs\n- [ ] eggs\n- [ ] eggs",
    "| a | b | c |\n|---|---|---|\n| no | no | no |\n| no | no | no |\n| no | no | yes |\n| yes | no | no |",
    "| ok |\n" * 30,
    "| 0 | 0 | 0 | 0 | 0 | 0 | 0 |\n" * 8,
    "Name        |        Price\n" + "-" * 70 + "\nTea" + " " * 80 + "2.10\n" + "=" * 70,
    "def f(x):\n    self.x = x\n    self.y = y\n\n\n    return [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n\n\n",
    "<td></td>" * 12, "x = x + x + x + x + x + x + x", "10" + "0" * 40, "import a as a\nimport b as b\nimport c as c\n",
    "Dear Sir,\n\nthank you for your letter.\n\nSincerely,\n\n\n\nAda",
    "すもももももももものうち。いろいろな人々が、ますますのんびりと、ゆっくりゆっくり歩いていました。",
    "申し訳ありませんが、もう少し詳しく教えてください。\n\n・一つ目は値段です。\n・二つ目は場所です。\n・三つ目は時間です。",
    "Nooooo! Hahahaha, that is soooo good!!!!",
)  # fmt: skip


@pytest.mark.parametrize("answer", BROKEN)
def test_an_answer_that_broke_down_is_caught(answer: str) -> None:
    assert is_degenerate(answer)


@pytest.mark.parametrize("answer", PLAIN)
def test_short_answers_prose_poems_lists_tables_code_and_japanese_are_not(answer: str) -> None:
    assert not is_degenerate(answer)


def test_no_answer_of_the_built_in_behaviors_and_no_code_of_ours_is_taken_for_one() -> None:
    answers = [
        answer
        for name in ("sentiment", "brevity", "certainty", "formality", "honesty", "politeness", "refusal")
        for example in Behavior.builtin(name).examples
        for answer in (example.positive, example.negative)
    ]
    assert len(answers) > 3000
    root = Path(trimtab.__file__).parent
    files = [file.read_text() for kind in ("*.py", "*.js", "*.css", "ja.json", "en.json") for file in root.rglob(kind)]
    cuts = [text[i : i + 800] for text in files for i in range(0, len(text), 800)]
    drawn = [cut for cut in random.Random(0).sample(cuts, 500) if cut.strip()]
    assert [one for one in (*answers, *drawn) if is_degenerate(one)] == []


def test_a_request_has_the_share_of_its_answers_and_nothing_where_it_has_none(lite: Store) -> None:
    log = ExposureLog(lite)
    log.write([
        Exposure("r1", 0.0, "tiny", "none", "ada", finish="stop", answers=("\n\n", "Yes.", "No.", "It depends.")),
        Exposure("r2", 0.0, "tiny", "none", "ada", finish="error"),
    ])  # fmt: skip
    both, failed = log.of_unit("ada")
    assert both["degenerate"] == 0.25
    assert "degenerate" not in failed
