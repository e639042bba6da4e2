"""Every phrase is translated, says the same figures, and a reader meets one language alone."""

import gettext
import json
import re
import runpy
import string
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from babel.messages.pofile import read_po
from tests.conftest import Run
from tests.languages.words import JAPANESE, Words, foreign, plotted

import trimtab as tt
from trimtab.errors import InputError
from trimtab.languages import LANGUAGES, Code, own, spoken
from trimtab.phrases import Message, recalled
from trimtab.reports.check.html import page
from trimtab.results import Report

ROOT = Path(__file__).parents[2]
CATALOGUES = sorted((ROOT / "src/trimtab/languages").glob("*/LC_MESSAGES/trimtab.po"))


def test_every_language_has_a_catalogue() -> None:
    assert {file.parts[-3] for file in CATALOGUES} == set(LANGUAGES) - {"en"}


@pytest.fixture(scope="module")
def code_messages() -> dict[str, object]:
    """The script that reads the phrases of the code."""
    return runpy.run_path(str(ROOT / ".ci/messages.py"))


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_no_phrase_is_untranslated_stale_or_left_uncompiled(file: Path, code_messages: dict) -> None:
    catalogue = code_messages["merged"](file, code_messages["phrases"]())
    assert [m.id for m in catalogue if m.id and not m.string] == [], "translate these, then: make messages"
    assert code_messages["as_text"](catalogue) == file.read_bytes(), "make messages"
    with file.with_suffix(".mo").open("rb") as of_machines:
        known = gettext.GNUTranslations(of_machines)._catalog  # type: ignore[attr-defined]
    key = {(f"{m.context}\x04{m.id}" if m.context else m.id): m.string for m in catalogue if m.id}
    assert {text: said for text, said in known.items() if text} == key, "make messages"
    assert code_messages["compiled"](catalogue) == file.with_suffix(".mo").read_bytes(), "make messages"


def test_what_is_compiled_does_not_depend_on_the_day(code_messages: dict) -> None:
    (file, *_) = CATALOGUES
    wanted = code_messages["phrases"]()
    first, later = code_messages["merged"](file, wanted), code_messages["merged"](file, wanted)
    later.creation_date = later.revision_date = first.creation_date + timedelta(days=400)
    assert code_messages["compiled"](first) == code_messages["compiled"](later)
    assert code_messages["as_text"](first) == code_messages["as_text"](later)


def places(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize("file", CATALOGUES, ids=lambda file: file.parts[-3])
def test_translations_have_the_places_of_their_source(file: Path) -> None:
    with file.open("rb") as written:
        catalogue = read_po(written)
    for message in catalogue:
        if message.id and "%{" not in message.id:
            assert places(str(message.string)) == places(str(message.id)), message.id


def test_japanese_is_japanese() -> None:
    with (ROOT / "src/trimtab/languages/ja/LC_MESSAGES/trimtab.po").open("rb") as written:
        for message in read_po(written):
            words = re.sub(r"\{\w+\}|<[^>]*>", "", str(message.id))
            if re.search(r"[a-z]{4}", words) and words not in {"logits", "English"}:
                assert JAPANESE.search(str(message.string)), message.id


# Words for one thing, in the server's pages, reports and documentation: the guardrail and the rollback that operators
# speak of (ガードレール, ロールバック), an activation (活性), a judge (審判), a move the wrong way (逆方向), steering
# (ステアリング) and its strength (強さ).
BANNED = re.compile("安全指標|取り消|取消|取り下げ|活性化|審査モデル|逆向きに動|操縦|強度")


@pytest.mark.parametrize(
    "file",
    [*CATALOGUES, ROOT / "README.ja.md", *sorted((ROOT / "docs/ja").rglob("*.md"))],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_one_word_says_one_thing_in_japanese(file: Path) -> None:
    assert [line for line in file.read_text(encoding="utf-8").splitlines() if BANNED.search(line)] == []


@pytest.fixture(scope="module")
def checked(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small check of a tiny model, with most of what a page can show."""
    model, folder = tt.load(tiny_folder, dtype="float32"), tmp_path_factory.mktemp("checked")
    report = tt.check(model, tt.Behavior.builtin("sentiment"), site=1, train=20, evaluation=20, generate=2)
    return report.save(folder, "ja")


def test_a_japanese_page_is_japanese_throughout(checked: Path) -> None:
    report = Report.load(checked)
    assert Words((checked / "report.html").read_text(encoding="utf-8")).runs == set()
    assert page(report, spoken("ja")) == (checked / "report.html").read_text(encoding="utf-8"), "as after loading"
    english = Words(page(report, spoken("en")))
    assert len(english.runs) > 200, "the rule finds English where there is some"
    assert not JAPANESE.search("".join(english.parts))


def test_plots_are_in_the_language_of_their_page(checked: Path) -> None:
    words = plotted((checked / "report.html").read_text(encoding="utf-8"), "customdata")  # texts of examples
    assert sum(bool(JAPANESE.search(text)) for text in words) > 20
    assert foreign(words) == []


def test_the_file_of_a_report_is_in_english_whatever_the_language(checked: Path) -> None:
    assert not JAPANESE.search((checked / "report.json").read_text(encoding="utf-8"))


def test_a_report_without_messages_is_shown_in_english_and_marked_so(checked: Path) -> None:
    report = Report.load(checked)
    record = json.loads(report.model_dump_json(by_alias=True))
    del record["messages"]
    old = Report.model_validate(record)
    shown = page(old, spoken("ja"))
    assert f'<p class="sentence"><span lang="en">{old.verdict.sentence}'[:60] in shown
    assert '<span lang="en">' not in page(old, spoken("en"))
    assert report.next_steps[0].what in report.model_dump_json()


def test_what_a_file_says_of_its_sentences_is_never_a_format() -> None:
    for template in ("{x:>99999999999}", "{x.__class__}", "{missing}", "{0}", "{"):
        hostile = recalled("plain", {"plain": Message(template, {"x": "1"}, {})})
        assert [spoken(code)(hostile) for code in LANGUAGES] == ["plain", "plain"]


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "POSIX"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "", "LC_MESSAGES": "ja_JP"}, "ja"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "fr_FR"}, "en"),
        ({"LANG": "jam_JM"}, "en"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(environment: dict[str, str], language: Code) -> None:
    assert own(environment) == language


def test_a_check_speaks_the_language_asked_for(
    tiny_folder: Path, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "ja_JP.UTF-8")
    small = ("--quick", "--train", 12, "--eval", 12, "--site", 1, "--strength", 1, "--dtype", "float32")
    asked = ("check", "sentiment", "--model", tiny_folder, *small, "--out", tmp_path / "out")
    code, out, _ = run(*asked)
    assert code == 0
    assert "次にすること" in out
    assert '<html lang="ja">' in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    code, out, _ = run(*asked, "--lang", "en")
    assert "What next" in out
    assert not JAPANESE.search(out)
    assert '<html lang="en">' in (tmp_path / "out/report.html").read_text(encoding="utf-8")
    code, _, err = run(*asked, "--lang", "fr")
    assert code == 2
    assert "--lang 'fr': choose en or ja" in err


def test_values_that_are_not_the_template_s_leave_the_english_text() -> None:
    phrase = recalled("a text", {"a text": Message("only {n} independent evaluation examples", {"zz": "1"}, {})})
    assert spoken("ja")(phrase) == "a text"


def test_an_unknown_language_is_refused_before_any_work(checked: Path, tmp_path: Path) -> None:
    code: Any = "fr"
    with pytest.raises(InputError, match="unknown language 'fr'; one of en, ja") as refused:
        Report.load(checked).save(tmp_path / "fr", code)
    assert refused.value.field == "language"
    assert not (tmp_path / "fr" / "report.json").exists()
