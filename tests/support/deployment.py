"""What is in deploy/, read: the compose file, the Dockerfile, the units of systemd."""

from __future__ import annotations

import json
import re
from configparser import RawConfigParser
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import yaml

from config import SETTINGS
from tests.support.server import ROOT

DEPLOY = ROOT / "deploy"
UNITS = DEPLOY / "systemd"
COMMON = UNITS / "task-server-.service.d" / "10-common.conf"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
BUILT = {name: one for name, one in COMPOSE["services"].items() if "build" in one}
PROCESSES = {name: one for name, one in BUILT.items() if "SERVICES" in one["environment"]}
# What is no setting of ours, but Python's own or the system's.
FOREIGN = ("PATH", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE")
SETTING_NAMES = {name for one in SETTINGS for name in (one.name, *one.aliases)}


def is_setting(name: str) -> bool:
    return name in SETTING_NAMES or name.removesuffix("_FILE") in SETTING_NAMES


def settings_of(service: dict[str, Any], secrets: Path) -> dict[str, str]:
    """A process's environment as Compose makes it with nothing set, its secrets in that folder."""
    given = {}
    for name, value in service["environment"].items():
        text = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", str(value))
        given[name] = text.replace("/run/secrets", str(secrets))
    return given


def seconds(text: str) -> int:
    """`20s`, `20`, `2m`."""
    number, unit = re.fullmatch(r"(\d+)(s|m)?", text).groups()  # type: ignore[union-attr]
    return int(number) * (60 if unit == "m" else 1)


# --- the image


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: name and arguments."""
    text = (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.partition(" ")[0], line.partition(" ")[2].strip()) for line in joined.split("\n")]


def stage() -> list[tuple[str, str]]:
    """Those of the last stage, which is the image."""
    found = instructions()
    last = max(at for at, (name, _) in enumerate(found) if name == "FROM")
    return found[last:]


def copied() -> list[tuple[str, str]]:
    """From where in the repository to where in the image's folder each file and folder goes."""
    found = []
    for name, text in instructions():
        if name == "COPY" and not text.startswith("--from"):
            *sources, target = text.split()
            for source in sources:
                named = target.endswith("/") or target == "."
                found.append((source, f"{target}/{Path(source).name}" if named else target))
    return found


def arguments_of(instruction: str) -> list[str]:
    """Those of `CMD` or `HEALTHCHECK … CMD`."""
    [text] = [text for name, text in stage() if name == instruction]
    words: list[str] = json.loads(text[text.index("[") :])
    return words


def image_environment() -> dict[str, str]:
    [text] = [text for name, text in stage() if name == "ENV"]
    return dict(pair.split("=", 1) for pair in text.split())


def is_ignored(path: str) -> bool:
    """Whether `.dockerignore` keeps it out of the build: of the lines that fit, the last rules."""
    ignored = False
    parts = path.split("/")
    above = [parts[: n + 1] for n in range(len(parts))]
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").split("/")
        if not line or line.startswith("#"):
            continue
        if any(_fits(one, pattern) for one in above):
            ignored = not line.startswith("!")
    return ignored


def _fits(parts: list[str], pattern: list[str]) -> bool:
    if pattern[0] == "**":
        parts, pattern = parts[-1:], pattern[1:]
    pairs = zip(parts, pattern, strict=False)
    return len(parts) == len(pattern) and all(fnmatch(one, wanted) for one, wanted in pairs)


# --- units


class Unit(RawConfigParser):
    """A unit: `[section]` and repeated keys, whose values are kept as lines."""

    def __init__(self, *paths: Path) -> None:
        super().__init__(strict=False, delimiters=("=",), comment_prefixes=("#",))
        self.optionxform = str  # type: ignore[assignment,method-assign]
        self.read_string("".join(path.read_text() for path in paths))


def environment_lines(path: Path) -> dict[str, str]:
    pairs = re.findall(r"^Environment=(.*)$", path.read_text(), re.M)
    return dict(pair.split("=", 1) for line in pairs for pair in line.split())
