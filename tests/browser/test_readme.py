"""What the README's first block does is seen on the board."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

from playwright.sync_api import expect

from tests.support.accounts import unique
from tests.support.blocks import Page
from tests.support.browser import Board
from tests.support.server import Server

FIRST = Page("README.md").find("export BASE=").code


def test_a_first_change_is_seen_live(board: Callable[..., Board], server: Server) -> None:
    name = unique("ada")
    script = FIRST.replace("http://localhost:5000", server.url).replace('"ada"', f'"{name}"')
    account, change = script.split("ask -N ")
    change = change.partition("\n")[2]
    shell = subprocess.Popen(
        ["bash", "-ec", f"{account}\necho there\nread go\n{change}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert shell.stdout is not None and shell.stdin is not None
        assert any(line.endswith("there\n") for line in shell.stdout)
        one = board()
        one.page.fill("[name=username]", name)
        one.page.fill("[name=password]", "a long password")
        one.page.click("#sign-in-go")
        one.is_live()
        shell.stdin.write("\n")
        shell.stdin.flush()
        expect(one.card("See it live")).to_be_visible()
        assert shell.wait(20) == 0
    finally:
        shell.kill()
        shell.wait()
