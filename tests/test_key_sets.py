"""The key set of another issuer by its URL: how often it is asked for, and what it is good for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from task_app import foreign
from task_app.foreign import PublishedKeys
from tests.support.clients import Rest
from tests.support.issuer import Issuer, published
from tests.support.server import Server

NEVER, AT_ONCE = 3600.0, 0.0


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


class Site:
    """An issuer's site: what it publishes now, and a door that can be closed."""

    def __init__(self, issuer: Issuer) -> None:
        self.issuer = issuer
        self.text = issuer.key_set_of("old")
        self.door = threading.Event()
        self.door.set()
        self.url = ""
        self.asked: list[str] = []

    def answer(self) -> str:
        assert self.door.wait(10)
        return self.text

    def publish(self, *names: str) -> None:
        self.text = self.issuer.key_set_of(*names)


@pytest.fixture
def site(issuer: Issuer) -> Iterator[Site]:
    site = Site(issuer)
    with published(site.answer) as (site.url, site.asked):
        yield site
        site.door.set()


@pytest.fixture
def every(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets how long a set is fresh, how long between two fetches, how long it is kept."""

    def set_seconds(**seconds: float) -> None:
        for name, value in seconds.items():
            monkeypatch.setattr(foreign, f"{name.upper()}_SECONDS", value)

    return set_seconds


def has(keys: PublishedKeys, name: str) -> bool:
    try:
        return keys.key(name) is not None
    except ValueError:
        return False


def test_one_client_cannot_make_the_server_ask_again_and_again(
    start: Callable[..., Server], issuer: Issuer, site: Site
) -> None:
    """Whatever key ids it invents, and though what the issuer answers cannot be used."""
    site.text = "<h1>Bad gateway</h1>"
    server = start(JWKS=site.url)
    for number in range(10):
        token = issuer.token("RS256", kid=f"invented {number}", sub="1")
        answer = Rest(server.url, token).get("/tasks")
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthorized")
    assert len(site.asked) == 1
    assert server.stop() == 0
    assert "Traceback" not in server.log


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", '{"keys": 7}', '{"keys": [{}, 7]}'])
def test_answers_that_are_no_key_set(site: Site, text: str) -> None:
    site.text = text
    keys = PublishedKeys(site.url)
    assert [has(keys, name) for name in ("old", "new", "old")] == [False] * 3
    assert len(site.asked) == 1


def test_invented_names_are_looked_for_once(site: Site) -> None:
    keys = PublishedKeys(site.url)
    assert not any(has(keys, f"invented {number}") for number in range(10))
    assert has(keys, "old")
    assert len(site.asked) == 1


def test_a_new_key_is_taken_after_the_pause(site: Site, every: Callable[..., None]) -> None:
    keys = PublishedKeys(site.url)
    assert has(keys, "old")
    site.publish("old", "new")
    assert not has(keys, "new")  # the set was fetched just now
    assert len(site.asked) == 1
    every(pause=AT_ONCE)
    assert has(keys, "new")
    assert has(keys, "old")
    assert len(site.asked) == 2


def test_a_withdrawn_key_is_refused(site: Site, every: Callable[..., None]) -> None:
    every(pause=AT_ONCE)
    keys = PublishedKeys(site.url)
    assert has(keys, "old")
    site.publish("new")
    assert has(keys, "old")  # as long as the set is fresh
    every(fresh=AT_ONCE)
    assert not has(keys, "old")
    site.publish()
    assert not has(keys, "new")


def test_keys_outlast_an_issuer_that_is_away(site: Site, every: Callable[..., None]) -> None:
    every(pause=AT_ONCE, fresh=AT_ONCE)
    keys = PublishedKeys(site.url)
    assert has(keys, "old")
    site.text = "<h1>Bad gateway</h1>"
    assert has(keys, "old")
    assert len(site.asked) == 2
    every(kept=AT_ONCE)
    assert not has(keys, "old")


def test_a_known_key_waits_for_nobody(site: Site, every: Callable[..., None]) -> None:
    """A fetch takes as long as the issuer likes; those who need it wait for one, together."""
    every(fresh=AT_ONCE)
    keys = PublishedKeys(site.url)
    assert has(keys, "old")
    every(pause=AT_ONCE)
    site.door.clear()
    site.publish("old", "new")
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(has, keys, "new") for _ in range(4)]
        while len(site.asked) < 2:  # until the fetch has begun
            assert not waiting[0].done()
        every(pause=NEVER)
        assert has(keys, "old")
        site.door.set()
        assert [job.result(10) for job in waiting] == [True] * 4
    assert len(site.asked) == 2
