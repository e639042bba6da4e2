"""`trimtab open`: the page of whatever a verb wrote, in the browser where there is a display."""

import json
from pathlib import Path

import pytest
from tests.conftest import Run


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses that the browser was asked for."""
    asked: list[str] = []

    def browser(address: str) -> bool:
        asked.append(address)
        return True

    monkeypatch.setattr("webbrowser.open", browser)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    return asked


@pytest.mark.parametrize("name", ["report.html", "index.html", "fit.html", "tuning.html", "advice.html"])
@pytest.mark.parametrize("given", ["folder", "page"])
def test_a_page_is_opened_and_named(
    name: str, given: str, opened: list[str], tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    folder = tmp_path / "a b"
    folder.mkdir()
    (folder / name).touch()
    assert run("open", folder if given == "folder" else folder / name) == (0, f"page: {folder / name}\n", "")
    assert opened == [(folder / name).resolve().as_uri()]


def test_without_a_display_the_path_alone_is_printed(opened: list[str], tmp_path: Path, run: Run) -> None:
    (tmp_path / "report.html").touch()
    (tmp_path / "report.json").write_text(json.dumps({}))
    assert run("open", tmp_path / "report.json")[:2] == (0, f"page: {tmp_path / 'report.html'}\n")
    assert opened == []


def test_a_folder_without_a_page_names_those_inside(opened: list[str], tmp_path: Path, run: Run) -> None:
    (tmp_path / "kind").mkdir()
    (tmp_path / "kind" / "report.html").touch()
    code, out, err = run("open", tmp_path)
    assert (code, out, opened) == (2, "", [])
    assert f"give one of {tmp_path / 'kind'}" in err
    code, _, err = run("open", tmp_path / "nowhere")
    assert code == 2
    assert "does not exist" in err
