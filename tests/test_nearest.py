"""Messages about names that are not known ask for the nearest one, wherever people type names."""

from pathlib import Path

import pytest
from tests.conftest import Run
from tests.serving.steerings import write_steering

from trimtab.nearest import meant


def test_the_nearest_name_is_asked_for_whatever_its_case_and_none_if_nothing_is_near() -> None:
    known = ("mean-difference", "MAT-Steer", "pca")
    assert meant("mat-ster", known) == "did you mean 'MAT-Steer'? "
    assert meant("mean_difference", known) == "did you mean 'mean-difference'? "
    assert meant("banana", known) == ""
    assert meant("other", ("both", "new")) == ""
    assert meant("x", ()) == ""


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (("chek",), "check"),
        (("release", "creat"), "create"),
        (("lint", "sentimant"), "sentiment"),
        (("check", "sentiment", "--prompt-type", "prefiled"), "prefilled"),
        (("check", "sentiment", "--scope", "al"), "all"),
        (("check", "sentiment", "--dtype", "bfloat"), "bfloat16"),
        (("check", "sentiment", "--require", "cautio"), "caution"),
        (("lint", "sentiment", "--view", "choise"), "choice"),
        (("fit", "sentiment", "--method", "mean-diference"), "mean-difference"),
        (("fit", "sentiment", "--method", "mat-steer", "--set", "epoch=3"), "epochs"),
        (("generate", "x", "--scope", "promt"), "prompt"),
    ],
)
def test_an_unknown_name_on_the_command_line_is_answered_with_the_nearest(
    arguments: tuple[str, ...], name: str, run: Run, tiny_folder: Path
) -> None:
    model = ("--model", tiny_folder) if arguments[0] in ("check", "fit") else ()
    code, out, err = run(*arguments, *model)
    assert (code, out) == (2, "")
    said = " ".join(err.split()).lower()
    assert f"did you mean '{name}'" in said


def test_an_unknown_flag_is_answered_with_those_that_resemble_it(run: Run) -> None:
    code, _, err = run("lint", "sentiment", "--strct")
    assert code == 2
    assert "--strict" in err


def test_a_folder_that_is_no_steering_is_answered_with_the_one_beside_it(run: Run, tmp_path: Path) -> None:
    write_steering(tmp_path / "warm", {"warm": 1.0})
    (tmp_path / "warn").touch()
    for name in ("wram", "warn"):
        code, _, err = run("generate", "x", "--steering", tmp_path / name)
        assert code == 2
        assert "did you mean 'warm'? give the one that Steering.save wrote" in " ".join(err.split())
