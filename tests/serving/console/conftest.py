"""The console in Debian's Chromium: one server for a module, over the spelling engine, with a store that is seeded."""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page
from tests.serving.browser import browser as browser
from tests.serving.browser import visits
from tests.serving.conftest import Server
from tests.serving.console.seeding import seed
from tests.serving.speller import Letters, Speller
from tests.serving.steerings import CHECKED, write_steering
from tests.serving.test_real_server import Live, listening

from trimtab.operations import OffSwitch, Releases, Store, arm_of
from trimtab.serving.app import create_app
from trimtab.serving.keys import KeyFile
from trimtab.serving.live import Operations
from trimtab.serving.logs import logger
from trimtab.serving.monitoring import Monitor, Watching
from trimtab.serving.registry import Registry
from trimtab.serving.settings import Settings

Open = Callable[..., Page]


@dataclass
class OnDuty:
    """A server that listens, its store as another process sees it, and a key for everything."""

    live: Live
    releases: Releases
    place: Path
    off: OffSwitch
    key: str
    monitor: Monitor

    @property
    def url(self) -> str:
        return self.live.url


@pytest.fixture(scope="module")
def on_duty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDuty]:
    folder = tmp_path_factory.mktemp("duty")
    with serving(folder, stored=True) as found:
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnDuty]:
    """A server without a store."""
    with serving(tmp_path_factory.mktemp("alone"), stored=False) as found:
        yield found


@contextmanager
def serving(folder: Path, *, stored: bool) -> Iterator[OnDuty]:
    """A server in a folder, with a store or without."""
    steerings, place = folder / "steerings", folder / "operations.db"
    write_steering(steerings / "warm", {"warm": 1.0}, {"warm": CHECKED}, presets={"gentle": {"warm": 0.5}})
    store = Store(place, create=True)
    releases = Releases(store) if not stored else seed(store, arm_of(steerings / "warm")[0])
    held, log = KeyFile(folder / "keys.json"), io.StringIO()
    keys = {scope: held.create(scope, [scope]) for scope in ("read", "infer", "operate")}
    key = held.create("ada", ["read", "infer", "operate"])
    engine, registry, off = Speller(400), Registry(steerings), OffSwitch(folder / "OFF")
    operations = None
    if stored:
        operations = Operations(Store(place), "tiny", registry, off, logger(log), watch_every=0)
    monitor = Monitor(engine, registry, Watching(), logger(log), operations)
    app = create_app(
        engine, registry, held, Settings("tiny"), vocabulary=Letters(), log=log, operations=operations,
        monitor=monitor,
    )  # fmt: skip
    with listening(Server(app, engine, registry, held, keys, log)) as live:
        yield OnDuty(live, releases, place, off, key, monitor)
    store.close()


@pytest.fixture
def visit(browser: Browser) -> Iterator[Open]:
    """Open a page with a key; see `visits`."""
    with visits(browser) as blank:

        def visited(
            duty: OnDuty, key: str | None = "", width: int = 1280, height: int = 900, path: str = "/console",
            locale: str = "en-US", **options: object,
        ) -> Page:  # fmt: skip
            context, page = blank(duty.url, width, height, locale=locale, **options)
            if key is not None:
                script = f"sessionStorage.setItem('trimtab-api-key', '{key or duty.key}')"
                context.add_init_script(f"if (location.origin === '{duty.url}') {script}")
            page.goto(f"{duty.url}{path}")
            return page

        yield visited
