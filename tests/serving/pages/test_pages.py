"""The files of all pages as the server hands them out."""

import asyncio
from importlib.resources import files

import httpx2
import pytest
from tests.serving.asking import sent
from tests.serving.conftest import Make, Server

from trimtab.reports.palette import DARK
from trimtab.serving.console import PAGE as CONSOLE
from trimtab.serving.pages import SHARED, Page
from trimtab.serving.playground import PAGE as PLAYGROUND

PAGES = (SHARED, PLAYGROUND, CONSOLE)
PATHS = {path for page in PAGES for path in page.paths}
HOMES = ("/", "/console")


def test_the_page_needs_no_key_and_what_it_asks_for_does(server: Server) -> None:
    for path in sorted(PATHS):
        answer = sent(server, "GET", path, None)
        assert answer.status_code == 200, path
        assert answer.headers["x-content-type-options"] == "nosniff"
    for path in ("/v1/models", "/v1/steerings"):
        assert sent(server, "GET", path, None).status_code == 401
    assert sent(server, "GET", "/playground/page.py", None).status_code == 401


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_file_of_the_folder_is_served_with_its_type_and_nothing_else(server: Server, page: Page) -> None:
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html", "json": "application/json"}
    folder = files(page.package) / "files"
    assert set(page.paths.values()) == {one.name for one in folder.iterdir()} | {"ja.json"}
    for path, name in page.paths.items():
        answer = sent(server, "GET", path, None)
        kind, _, charset = answer.headers["content-type"].partition("; ")
        assert (kind, charset) == (kinds[name.rpartition(".")[2]], "" if name.endswith("json") else "charset=utf-8")
        if name != "ja.json":  # of the catalogue of translations
            assert answer.text.endswith((folder / name).read_text())


@pytest.mark.parametrize("home", HOMES)
def test_the_policy_lets_the_page_load_its_own_files_and_nothing_in_line(server: Server, home: str) -> None:
    page = sent(server, "GET", home, None)
    policy = dict(rule.strip().partition(" ")[::2] for rule in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert {policy[name] for name in ("script-src", "style-src", "connect-src")} == {"'self'"}
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert " style=" not in page.text
    assert " onclick" not in page.text
    assert "//" not in page.text.replace("<!doctype", "")


def test_the_page_has_the_colours_of_reports(server: Server) -> None:
    style = sent(server, "GET", "/pages/shared.css", None).text
    assert all(colour in style for colour in (next(iter(DARK)), *list(DARK.values())[:3]))
    assert "$FONT" not in style


@pytest.mark.parametrize(("page", "other"), [(PLAYGROUND, CONSOLE), (CONSOLE, PLAYGROUND)])
def test_a_page_that_is_switched_off_is_not_there(make: Make, page: Page, other: Page) -> None:
    server = make(**{page.name: False})
    assert {sent(server, "GET", path, "infer").status_code for path in page.paths} == {404}
    assert {sent(server, "GET", path, None).status_code for path in (*other.paths, *SHARED.paths)} == {200}
    assert sent(server, "GET", "/v1/models", "read").status_code == 200


def test_the_page_is_no_part_of_the_api(server: Server) -> None:
    assert not PATHS & set(sent(server, "GET", "/openapi.json", None).json()["paths"])


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example"])
def test_without_keys_the_page_is_for_this_machines_names_alone(make: Make, host: str) -> None:
    async def asked() -> httpx2.Response:
        async with make(no_auth=True).client(None) as client:
            return await client.get("/", headers={"host": host})

    assert asyncio.run(asked()).status_code == 403
