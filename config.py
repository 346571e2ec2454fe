"""Every setting of the server: the one place that reads the environment.

`SETTINGS` is the list; the README prints it and a test keeps the two alike.  `Config(environ)`
turns an environment into checked values and raises `ConfigError`, whose text is one sentence
that says what to do, when a value cannot be used.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from task_app import values

ROOT = Path(__file__).resolve().parent
PORTS = {"users": 3003, "tasks": 3002, "notifications": 3001}  # of a service run alone
REDIS_SECONDS = 0.5  # the longest a request waits for it, once; then it is taken for dead
# Under these names the secret is shared with another issuer, whose tokens are then taken too.
SHARED_SECRET_NAMES = ("JWT_SECRET", "BETTER_AUTH_SECRET")


# What a message must not repeat: secrets, and a URL with a password in it.
UNSPOKEN = (values.secret, values.password, values.redis, values.database)


class ConfigError(Exception):
    """A setting that cannot be used; the text is shown to the operator as it stands."""


@dataclass(frozen=True)
class Setting:
    """One row of the settings table.  `aliases` are other names it is read from, in order."""

    name: str
    default: str | None
    parse: Callable[[str], Any]
    help: str
    aliases: tuple[str, ...] = ()


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "SECRET_KEY",
        None,
        values.secret,
        "Flask's secret; made and kept in `instance/` when absent",
    ),
    Setting(
        "JWT_SECRET_KEY",
        None,
        values.secret,
        "signs tokens; made and kept in `instance/` when absent",
        aliases=SHARED_SECRET_NAMES,
    ),
    Setting(
        "JWKS",
        None,
        values.key_set,
        "file or URL of the key set of tokens issued elsewhere (RS256, EdDSA)",
    ),
    Setting("TRUSTED_ISSUER", None, values.text, "`iss` that a token issued elsewhere must carry"),
    Setting(
        "TRUSTED_AUDIENCE", None, values.text, "`aud` that a token issued elsewhere must carry"
    ),
    Setting("DATABASE_URL", None, values.database, "default: the SQLite file `instance/tasks.db`"),
    Setting(
        "DB_USER",
        None,
        values.text,
        "with the four below: PostgreSQL, when `DATABASE_URL` is absent",
    ),
    Setting("DB_PASSWORD", None, values.text, "password of `DB_USER`"),
    Setting("DB_HOST", "localhost", values.text, "host of the PostgreSQL server"),
    Setting("DB_PORT", "5432", values.integer(1, 65535), "port of the PostgreSQL server"),
    Setting("DB_NAME", None, values.text, "name of the database; setting it chooses PostgreSQL"),
    Setting(
        "DATABASE_POOL_SIZE",
        "10",
        values.integer(2, 500),
        "connections a process may have to PostgreSQL; writes take up to half of them",
    ),
    Setting(
        "DATABASE_TIMEOUT_SECONDS",
        "10",
        values.integer(1, 3600),
        "PostgreSQL gives up a statement that takes longer; two seconds later nobody waits for it",
    ),
    Setting(
        "REDIS_URL",
        None,
        values.redis,
        "Redis, for hints between processes, shared limits and pages of lists; everything works "
        "without",
    ),
    Setting(
        "CACHE_TTL_SECONDS",
        "60",
        values.integer(0, 86400),
        "how long Redis keeps a page of a list for other processes on PostgreSQL; 0: not at all",
    ),
    Setting("HOST", "127.0.0.1", values.text, "address to listen on"),
    Setting(
        "PORT",
        None,
        values.integer(0, 65535),
        "port to listen on; 0 takes a free one; default 5000, or that of a service run alone: "
        "users 3003, tasks 3002, notifications 3001",
    ),
    Setting(
        "SERVICES",
        ",".join(PORTS),
        values.words(*PORTS),
        "the parts this process serves; sockets and streams are with the notifications",
    ),
    Setting(
        "TRUSTED_PROXIES",
        "",
        values.networks,
        "gateways whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed",
    ),
    Setting(
        "ALLOWED_ORIGINS",
        "",
        values.origins,
        "web origins that may call from a browser, comma-separated",
        aliases=("FRONTEND_URL",),
    ),
    Setting(
        "TASK_VISIBILITY",
        "private",
        values.choice("private", "team"),
        "`private`: owner, assignee and admins see a task; `team`: every signed-in user",
    ),
    Setting(
        "BROADCAST_ROLES",
        "admin",
        values.words("admin", "member"),
        "roles that may broadcast: a broadcast can carry any event's name",
    ),
    Setting(
        "EVENT_RETENTION_DAYS", "7", values.integer(1, 3650), "how far back a client can resume"
    ),
    Setting(
        "WS_MAX_MESSAGE_BYTES",
        "65536",
        values.integer(512, 1 << 20),
        "longest message a raw WebSocket may send",
    ),
    Setting(
        "WS_TIMEOUT_SECONDS",
        "60",
        values.integer(1, 3600),
        "a raw WebSocket is closed after so long without a sign of life",
    ),
    Setting("RATELIMIT_ENABLED", "1", values.flag, "limits on login, registration and broadcast"),
    Setting(
        "METRICS_TOKEN",
        None,
        values.secret,
        "token for `/metrics`; without one only loopback may read it",
    ),
    Setting(
        "ASYNC_MODE",
        "eventlet",
        values.choice("eventlet", "threading"),
        "how connections are served; `threading` runs without eventlet",
    ),
    Setting(
        "ENGINE",
        "on",
        values.choice("on", "off"),
        "`on`: idle WebSockets keep no greenlet, and events go straight to them (eventlet only)",
    ),
    Setting(
        "IO_URING",
        "on",
        values.choice("on", "off"),
        "`on`: the engine writes an event to many clients by one call, if the kernel lets it",
    ),
    Setting("ACCESS_TOKEN_MINUTES", "60", values.integer(1, 525600), "life of an access token"),
    Setting("REFRESH_TOKEN_DAYS", "30", values.integer(1, 3650), "life of a refresh token"),
    Setting(
        "HASH_COST",
        "15",
        values.integer(10, 18),
        "work to hash a password, as a power of two: 15 takes 0.1 s and 32 MB, 16 twice that",
    ),
    Setting("ADMIN_EMAIL", "admin@example.com", values.email, "e-mail of the first admin"),
    Setting(
        "ADMIN_PASSWORD", None, values.password, "password of the first admin; made up when absent"
    ),
    Setting(
        "SQLITE_SYNCHRONOUS",
        "NORMAL",
        values.choice("normal", "full"),
        "`FULL` survives a power loss without losing the last writes, `NORMAL` is faster",
    ),
    Setting(
        "LOG_LEVEL",
        "INFO",
        values.choice("debug", "info", "warning", "error"),
        "least severe message that is logged",
    ),
    Setting(
        "LOG_FORMAT",
        "text",
        values.choice("text", "json"),
        "`text`: a line for people; `json`: an object on each line",
    ),
    Setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        values.endpoint,
        "where traces go, by OTLP over HTTP; needs `requirements-otel.txt`",
    ),
    Setting(
        "INSTANCE_PATH",
        None,
        values.text,
        "folder of the database and the secrets; default `instance/`",
    ),
)


class Config:
    """Checked settings as upper-case attributes, and what Flask's extensions derive from them.

    `environ` is the environment to read (the process's own by default); `async_mode` goes before
    what it says.  Raises `ConfigError`.
    Makes the instance folder and the secrets that are not given.
    """

    DATABASE_URL: str | None
    INSTANCE_PATH: str
    PORT: int | None
    SECRET_KEY: str
    JWT_SECRET_KEY: str

    def __init__(
        self, environ: Mapping[str, str] | None = None, async_mode: str | None = None
    ) -> None:
        environ = os.environ if environ is None else environ
        for setting in SETTINGS:
            setattr(self, setting.name, _read(setting, environ))
        if async_mode is not None:
            self.ASYNC_MODE = async_mode
        # Only a secret that somebody gave can be shared with another issuer.
        shared = any(_given(name, environ) for name in SHARED_SECRET_NAMES)
        self.FOREIGN_SECRET = self.JWT_SECRET_KEY if shared else None
        if not self.SERVICES:
            raise ConfigError(f"SERVICES is empty; name some of {', '.join(PORTS)}.")
        if self.PORT is None:
            self.PORT = PORTS[self.SERVICES[0]] if len(self.SERVICES) == 1 else 5000
        self._prepare_instance()
        self._derive_secrets()
        self._derive_database()
        self._derive_extensions()

    def _prepare_instance(self) -> None:
        self.INSTANCE_PATH = str(Path(self.INSTANCE_PATH or ROOT / "instance").resolve())
        try:
            Path(self.INSTANCE_PATH).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"The instance folder {self.INSTANCE_PATH} cannot be made ({error.strerror}); "
                "set INSTANCE_PATH to a folder this user may write to."
            ) from error

    def _derive_secrets(self) -> None:
        folder = Path(self.INSTANCE_PATH)
        self.SECRET_KEY = self.SECRET_KEY or kept_secret(folder / "secret_key")
        self.JWT_SECRET_KEY = self.JWT_SECRET_KEY or kept_secret(folder / "jwt_secret_key")

    def _derive_database(self) -> None:
        if not self.DATABASE_URL and self.DB_NAME:
            login = (
                f"{quote(self.DB_USER or '', safe='')}:{quote(self.DB_PASSWORD or '', safe='')}@"
            )
            where = f"{self.DB_HOST}:{self.DB_PORT}/{quote(self.DB_NAME)}"
            self.DATABASE_URL = f"postgresql://{login if self.DB_USER else ''}{where}"
        url = self.DATABASE_URL or "sqlite:///tasks.db"
        scheme, _, rest = url.partition("://")
        if scheme.startswith("sqlite"):
            url = f"sqlite:///{Path(self.INSTANCE_PATH) / values.sqlite_file(rest)}"
        else:
            url = f"postgresql+psycopg://{rest}"
            if self.ASYNC_MODE == "eventlet":
                # Read when psycopg is imported, which is later: left to itself it would wait
                # inside libpq and keep the hub from everybody.
                os.environ["PSYCOPG_WAIT_FUNC"] = "wait_selector"
        self.SQLALCHEMY_DATABASE_URI = url

    def _derive_extensions(self) -> None:
        self.JWT_ACCESS_TOKEN_EXPIRES = timedelta(minutes=self.ACCESS_TOKEN_MINUTES)
        self.JWT_REFRESH_TOKEN_EXPIRES = timedelta(days=self.REFRESH_TOKEN_DAYS)
        self.JWT_ALGORITHM = "HS256"
        # A clock that went back, or another process's that is behind, must not put anybody out:
        # our tokens hold from the start, and what ends them is `exp`.
        self.JWT_ENCODE_NBF = False
        self.JWT_ENCODE_ISSUER = self.JWT_DECODE_ISSUER = "task-server"
        self.RATELIMIT_STORAGE_URI = self.REDIS_URL or "memory://"
        if self.REDIS_URL:
            self.RATELIMIT_KEY_PREFIX = "task-server"
            # While Redis is away each process counts for itself, and no request waits for it.
            self.RATELIMIT_IN_MEMORY_FALLBACK_ENABLED = True
            self.RATELIMIT_STORAGE_OPTIONS = {
                "socket_connect_timeout": REDIS_SECONDS,
                "socket_timeout": REDIS_SECONDS,
            }
        self.RATELIMIT_HEADERS_ENABLED = True
        self.MAX_CONTENT_LENGTH = 1 << 20
        self.SQLALCHEMY_TRACK_MODIFICATIONS = False

    def __getattr__(self, name: str) -> Any:  # for the type checker: attributes come from SETTINGS
        raise AttributeError(name)


def _read(setting: Setting, environ: Mapping[str, str]) -> Any:
    for name in (setting.name, *setting.aliases):
        if value := _given(name, environ):
            break
    else:
        name, value = setting.name, setting.default or ""
    if not value and setting.default is None:
        return None
    try:
        return setting.parse(value)
    except ValueError as error:
        shown = "" if setting.parse in UNSPOKEN else f"={value!r}"
        raise ConfigError(f"{name}{shown} cannot be used: {error}.") from error


def _given(name: str, environ: Mapping[str, str]) -> str:
    """What the environment says, or the file that it names there by `<name>_FILE` holds; "" when
    it says nothing.  So passwords need not stand where whoever lists the processes reads them."""
    if value := environ.get(name, "").strip():
        return value
    path = environ.get(f"{name}_FILE", "").strip()
    if not path:
        return ""
    try:
        return Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise ConfigError(
            f"{name}_FILE names {path}, which cannot be read ({reason}); let this user read it."
        ) from error


def kept_secret(path: Path) -> str:
    """The secret kept in `path` (mode 0600), made at the first call.

    Two processes starting together agree on one: the file is linked into place whole.
    """
    try:
        if not path.exists():
            draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(48))
            try:
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return values.secret(path.read_text().strip())
    except OSError as error:
        raise ConfigError(
            f"The secret file {path} cannot be read or made ({error.strerror}); "
            "let this user read and write the instance folder."
        ) from error
    except ValueError as error:
        raise ConfigError(f"The secret in {path} cannot be used: {error}.") from error


def settings_table() -> str:
    """The settings as the README shows them: `python config.py` prints this."""
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for setting in SETTINGS:
        names = ", ".join(f"`{name}`" for name in (setting.name, *setting.aliases))
        default = f"`{setting.default}`" if setting.default else "none"
        rows.append(f"| {names} | {default} | {setting.help} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(settings_table())
