"""Every setting: its default, its other names, and what is refused."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import pytest

from config import SETTINGS, Config, ConfigError
from tests.support.server import refusal

GOOD_SECRET = "Wd2nT8hYq5pLx0vBz7kRf3mJc9sGa1eU"
DEFAULTS: dict[str, Any] = {
    "JWKS": None,
    "TRUSTED_ISSUER": None,
    "TRUSTED_AUDIENCE": None,
    "DATABASE_URL": None,
    "DB_USER": None,
    "DB_PASSWORD": None,
    "DB_HOST": "localhost",
    "DB_PORT": 5432,
    "DB_NAME": None,
    "SERVICES": ("users", "tasks", "notifications"),
    "TRUSTED_PROXIES": (),
    "REDIS_URL": None,
    "CACHE_TTL_SECONDS": 60,
    "DATABASE_POOL_SIZE": 10,
    "DATABASE_TIMEOUT_SECONDS": 10,
    "HOST": "127.0.0.1",
    "PORT": 5000,
    "ALLOWED_ORIGINS": (),
    "TASK_VISIBILITY": "private",
    "BROADCAST_ROLES": ("admin",),
    "EVENT_RETENTION_DAYS": 7,
    "WS_MAX_MESSAGE_BYTES": 65536,
    "WS_TIMEOUT_SECONDS": 60,
    "RATELIMIT_ENABLED": True,
    "METRICS_TOKEN": None,
    "ASYNC_MODE": "eventlet",
    "ENGINE": "on",
    "IO_URING": "on",
    "HASH_COST": 15,
    "ACCESS_TOKEN_MINUTES": 60,
    "REFRESH_TOKEN_DAYS": 30,
    "ADMIN_EMAIL": "admin@example.com",
    "ADMIN_PASSWORD": None,
    "SQLITE_SYNCHRONOUS": "normal",
    "LOG_LEVEL": "info",
    "LOG_FORMAT": "text",
    "OTEL_EXPORTER_OTLP_ENDPOINT": None,
}
MADE = {"SECRET_KEY", "JWT_SECRET_KEY", "INSTANCE_PATH"}  # not the same in two places
BAD: dict[str, list[str]] = {
    "SECRET_KEY": ["tiny", "your_secret_key_" * 3, "change-me" * 5],
    "JWT_SECRET_KEY": ["tiny", "your-secret-key-here-match-frontend"],
    "JWT_SECRET": ["your_jwt_secret", "your-secret-key-change-in-production"],
    "BETTER_AUTH_SECRET": ["an-example-secret-of-enough-length"],
    "METRICS_TOKEN": ["tiny"],
    "JWKS": ["/nowhere/jwks.json", "ftp://example.com/jwks.json"],
    "DATABASE_URL": [
        *("mysql://localhost/tasks", "tasks.db", "sqlite://", "sqlite:///:memory:"),
        *("postgresql://me:pw@localhost:port/tasks", "postgresql://localhost:5432x"),
    ],
    "DB_PORT": ["0", "65536", "five", "1e3"],
    "DATABASE_POOL_SIZE": ["0", "1", "501", "all"],
    "DATABASE_TIMEOUT_SECONDS": ["0", "1.5", "never"],
    "SERVICES": ["billing", "users;tasks", ",", "users,billing"],
    "TRUSTED_PROXIES": ["gateway", "10.0.0.1/8", "10.0.0.0/33", "*"],
    "CACHE_TTL_SECONDS": ["-1", "86401", "a minute", "1.5"],
    "REDIS_URL": ["localhost:6379", "http://localhost", "redis://", "redis://localhost:port"],
    "PORT": ["-1", "65536", "http", "50 00"],
    "ALLOWED_ORIGINS": ["*", "localhost:3000", "https://a.example/app", "null", "ws://a.example"],
    "FRONTEND_URL": ["example.com"],
    "TASK_VISIBILITY": ["public"],
    "BROADCAST_ROLES": ["everyone", "admin,user,x"],
    "EVENT_RETENTION_DAYS": ["0", "-1", "week"],
    "WS_MAX_MESSAGE_BYTES": ["511", "1e6"],
    "WS_TIMEOUT_SECONDS": ["0", "soon"],
    "RATELIMIT_ENABLED": ["maybe", "2"],
    "ASYNC_MODE": ["asyncio"],
    "ENGINE": ["fast"],
    "IO_URING": ["yes"],
    "HASH_COST": ["9", "19", "much"],
    "ACCESS_TOKEN_MINUTES": ["0", "1.5", "9" * 12],
    "REFRESH_TOKEN_DAYS": ["0"],
    "ADMIN_EMAIL": ["nobody", "a b@example.com"],
    "ADMIN_PASSWORD": ["tiny", "x" * 129],
    "SQLITE_SYNCHRONOUS": ["OFF"],
    "LOG_LEVEL": ["LOUD"],
    "LOG_FORMAT": ["xml"],
    "OTEL_EXPORTER_OTLP_ENDPOINT": ["localhost:4318", "grpc://localhost", "http://"],
}
KNOWN = pytest.mark.fault("defaults")


def is_secret(name: str) -> bool:
    """Whether somebody who knows its value, or guesses it, is let in."""
    return "SECRET" in name or "PASSWORD" in name or name.endswith("TOKEN")


CASES = [
    # One of the bad passwords is too long, and guessed by nobody.
    pytest.param(name, value, marks=[KNOWN] if is_secret(name) and len(value) < 129 else [])
    for name, values in BAD.items()
    for value in values
]
# Any text is a good value of these; what is wrong with it shows when it is used.
FREE = {"TRUSTED_ISSUER", "TRUSTED_AUDIENCE", "DB_USER", "DB_PASSWORD", "DB_HOST", "DB_NAME"}
FREE |= {"HOST", "INSTANCE_PATH"}


def configure(folder: Path, **environ: str) -> Config:
    return Config({"INSTANCE_PATH": str(folder), **environ})


def test_tables_are_whole() -> None:
    names = {setting.name for setting in SETTINGS}
    assert names == DEFAULTS.keys() | MADE
    assert names == (BAD.keys() & names) | FREE


@pytest.mark.parametrize("name", DEFAULTS)
def test_default(tmp_path: Path, name: str) -> None:
    assert getattr(configure(tmp_path), name) == DEFAULTS[name]
    assert getattr(configure(tmp_path, **{name: "  "}), name) == DEFAULTS[name]


@pytest.mark.parametrize(("name", "value"), CASES)
def test_bad_value(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, **{name: value})
    said = str(caught.value)
    assert said.startswith(name)
    assert said.endswith(".") and "\n" not in said
    if is_secret(name):
        assert value not in said


@pytest.mark.parametrize("name", ["REDIS_URL", "DATABASE_URL"])
def test_a_password_in_a_url_is_not_repeated(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configure(tmp_path, **{name: "reddis://:hunter2@cache:6379/0"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("name", ["JWT_SECRET_KEY", "JWT_SECRET", "BETTER_AUTH_SECRET"])
def test_names_of_the_signing_secret(tmp_path: Path, name: str) -> None:
    config = configure(tmp_path, **{name: GOOD_SECRET})
    assert GOOD_SECRET == config.JWT_SECRET_KEY
    shared = None if name == "JWT_SECRET_KEY" else GOOD_SECRET
    assert shared == config.FOREIGN_SECRET


@pytest.mark.parametrize("name", ["JWT_SECRET_KEY", "JWT_SECRET", "DB_PASSWORD", "PORT"])
def test_a_setting_in_a_file(tmp_path: Path, name: str) -> None:
    """As Docker and systemd hand out secrets; what the environment says itself goes before."""
    value, path = {"PORT": "8123"}.get(name, GOOD_SECRET), tmp_path / "a setting"
    path.write_text(f"{value}\n")
    in_file = configure(tmp_path, **{f"{name}_FILE": str(path)})
    both = configure(tmp_path, **{f"{name}_FILE": str(tmp_path / "nowhere"), name: value})
    said = configure(tmp_path, **{name: value})
    assert vars(in_file) == vars(said) == vars(both)
    assert vars(said) != vars(configure(tmp_path))


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_a_file_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "secret"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"^DB_PASSWORD_FILE names {path}, which cannot be read"):
        configure(tmp_path, DB_PASSWORD_FILE=str(path))


def test_other_names(tmp_path: Path) -> None:
    origin = "https://app.example.com"
    assert (origin,) == configure(tmp_path, FRONTEND_URL=f"{origin}/").ALLOWED_ORIGINS
    both = configure(tmp_path, FRONTEND_URL="http://b.example", ALLOWED_ORIGINS=origin)
    assert (origin,) == both.ALLOWED_ORIGINS


@pytest.mark.parametrize(
    ("given", "derived"),
    [
        ({}, "sqlite:///{folder}/tasks.db"),
        ({"DATABASE_URL": "sqlite:///other.db"}, "sqlite:///{folder}/other.db"),
        ({"DATABASE_URL": "sqlite:////var/x.db"}, "sqlite:////var/x.db"),
        ({"DATABASE_URL": "postgres://u:p@h/d"}, "postgresql+psycopg://u:p@h/d"),
        ({"DATABASE_URL": "sqlite:///a.db", "DB_NAME": "d"}, "sqlite:///{folder}/a.db"),
        ({"DB_NAME": "d"}, "postgresql+psycopg://localhost:5432/d"),
        ({"DB_NAME": "d", "DB_HOST": "h", "DB_PORT": "1"}, "postgresql+psycopg://h:1/d"),
    ],
)
def test_database(tmp_path: Path, given: dict[str, str], derived: str) -> None:
    found = configure(tmp_path, **given).SQLALCHEMY_DATABASE_URI
    assert found == derived.format(folder=tmp_path)


@pytest.mark.parametrize(
    ("given", "port"),
    [
        ({"SERVICES": "users"}, 3003),
        ({"SERVICES": "tasks"}, 3002),
        ({"SERVICES": "notifications"}, 3001),
        ({"SERVICES": "users,tasks"}, 5000),
        ({"SERVICES": "users", "PORT": "80"}, 80),
    ],
)
def test_port_of_a_service(tmp_path: Path, given: dict[str, str], port: int) -> None:
    assert port == configure(tmp_path, **given).PORT


def test_secrets_are_made_once_and_for_the_owner_alone(tmp_path: Path) -> None:
    first, second = configure(tmp_path), configure(tmp_path)
    other = configure(tmp_path / "other")
    for name in ("SECRET_KEY", "JWT_SECRET_KEY"):
        assert getattr(first, name) == getattr(second, name) != getattr(other, name)
        assert len(getattr(first, name)) >= 32
        assert stat.S_IMODE((tmp_path / name.lower()).stat().st_mode) == 0o600
    assert first.SECRET_KEY != first.JWT_SECRET_KEY


@pytest.mark.parametrize(
    "settings",
    [
        {"PORT": "http"},
        pytest.param({"JWT_SECRET": "your_jwt_secret"}, marks=KNOWN),
        {"DATABASE_URL": "mysql://localhost/tasks"},
        pytest.param({"ADMIN_PASSWORD": "tiny"}, marks=KNOWN),
    ],
)
def test_the_process_says_so_and_ends(tmp_path: Path, settings: dict[str, str]) -> None:
    code, said = refusal(tmp_path, **settings)
    assert code == 1
    assert said.startswith(next(iter(settings)))
    assert said.count("\n") == 1
