"""Messages about names that are not known ask for the nearest one, wherever people type names."""

import pytest
from tests.conftest import Run

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
    arguments: tuple[str, ...], name: str, run: Run, tiny_folder: object
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
