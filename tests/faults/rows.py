"""Every fault that is provoked, and what must hold then.

The bounds are here and nowhere else: tests hold what they measured against them by `figure`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Promise:
    """`text` says what is measured; it must be neither more than `most` nor less than `least`."""

    text: str
    most: float | None = 0
    least: float | None = None
    unit: str = ""

    def holds(self, measured: float) -> bool:
        return (self.most is None or measured <= self.most) and (
            self.least is None or measured >= self.least
        )

    def say(self, measured: float) -> str:
        number = f"{measured:.4g}" if abs(measured) < 1000 else f"{measured:.0f}"
        return f"{number} {self.unit}".rstrip()

    def __str__(self) -> str:
        bounds = []
        if self.least is not None:
            bounds.append(f"≥ {self.say(self.least)}")
        if self.most is not None:
            bounds.append(self.say(self.most) if self.most == 0 else f"≤ {self.say(self.most)}")
        return f"{self.text}: {', '.join(bounds)}"


@dataclass(frozen=True)
class Row:
    """A fault, in words, and its promises by their names; each is put to the test so often, at
    least, by a whole soak."""

    fault: str
    promises: dict[str, Promise]
    least_tries: int = 1


def seconds(text: str, most: float) -> Promise:
    return Promise(text, most, unit="s")


LOST = Promise("acknowledged writes lost")
EVENTS = Promise("events lost, repeated or out of order")
ECHO = Promise("socket echo, p99", 100, unit="ms")
# Of bad input: each test is a try, in which something was wrong if it failed (tries.py).
WRONG = "wrong"
SERVED = Promise("honest requests served", None, 99.9, "%")

ROWS: dict[str, Row] = {
    "killed": Row(
        "`kill -9` of the server at a random moment under load",
        {
            "lost": LOST,
            "torn": Promise("writes without an answer that are neither whole nor absent"),
            "events": EVENTS,
            "twice": Promise("retries with their idempotency key that made a second task"),
        },
        least_tries=200,
    ),
    "process": Row(
        "`kill -9` of one process of several, behind the gateway",
        {
            "failed": Promise("requests failed"),
            "events": EVENTS,
            "back": seconds("clients back after", 5),
        },
    ),
    "power": Row(
        "power loss (`SQLITE_SYNCHRONOUS=FULL`)",
        {"unsynced": Promise("acknowledgements before their fsync (by strace)")},
    ),
    "held_open": Row(
        "PostgreSQL: transaction *n* held open while *n* + 1 commits",
        {"skipped": Promise("readers that skipped *n*")},
        least_tries=20,
    ),
    "same_version": Row(
        "two writes with the same `If-Match`",
        {"wrong": Promise("pairs that did not end as one 200 and one 412 with the current task")},
    ),
    "redis": Row(
        "Redis killed for 10 s under load, then back",
        {
            "errors": Promise("REST errors"),
            "events": EVENTS,
            "delay": seconds("delay of an event, during and after", 2),
        },
    ),
    "rolling": Row(
        "SIGTERM to one process after the other, under load",
        {
            "failed": Promise("requests failed"),
            "events": EVENTS,
            "back": seconds("clients back after", 5),
            "exit": seconds("exit after", 10),
            "code": Promise("exit codes other than 0"),
        },
    ),
    "postgresql": Row(
        "PostgreSQL restarted, `-m immediate`, under load",
        {
            "lost": LOST,
            "events": EVENTS,
            "healthy": seconds("healthy, once it accepts again, after", 3),
            "other": Promise("answers other than success, and 503 with `Retry-After`"),
        },
    ),
    "locked": Row(
        "SQLite locked by another process for 10 s",
        {
            "reads": Promise("reads, p99", 100, unit="ms"),
            "told": Promise("writes are told 503 with `Retry-After` after", 6, 5, "s"),
            "other": Promise("writes answered otherwise"),
            "echo": ECHO,
        },
    ),
    "logins": Row("50 logins at once", {"echo": ECHO}),
    "disk": Row(
        "disk full (`PRAGMA max_page_count`; a small tmpfs)",
        {
            "other": Promise("writes answered otherwise than by 507"),
            "events": Promise("events sent of refused writes"),
            "reads": Promise("reads failed"),
            "stuck": Promise("writes refused once there is room again"),
            "integrity": Promise("faults found by `integrity_check`"),
        },
    ),
    "slow": Row(
        "a client that stops reading; one that reads a byte a second and answers pings",
        {
            "closed": seconds("closed, once it has reached its bound, after", 10),
            "events": EVENTS,
            "others": Promise(
                "the others' p99 against without (under 1 ms apart, a floor of our own, is none)",
                1.2,
                unit="×",
            ),
        },
    ),
    "crowd": Row("10 000 sockets, most of them idle", {"served": SERVED, "events": EVENTS}),
    "half_open": Row(
        "1 000 half-open and slow-loris connections",
        {"served": SERVED, "reaped": seconds("reaped after", 30)},
        least_tries=1_000,
    ),
    "clock": Row(
        "the clock moved by an hour, either way",
        {
            "events": Promise("events out of order"),
            "expiry": seconds("expiry wrong by", 1),
        },
    ),
    "expiry": Row(
        "a token expires on a live socket",
        {
            "closed": seconds("closed after", 1),
            "renewed": Promise("connections closed though their token was renewed"),
        },
    ),
    "sight": Row(
        "logout, account disabled or demoted",
        {
            "up": seconds("sockets closed or rooms left, in every process, after", 2),
            "down": seconds("the same with Redis down", 10),
        },
    ),
    "refused": Row(
        "database file or instance folder read-only; a schema from a newer version",
        {"other": Promise("starts that did not end with one clear sentence and exit code 1")},
    ),
}


def refused(what: str, promise: str, **more: Promise) -> Row:
    return Row(what, {WRONG: Promise(f"tests in which {promise}"), **more})


ROWS |= {
    "never": Row(
        "all bad input below, on every transport",
        {
            "trouble": Promise("answers 5xx, with a stack trace or another user's data"),
            "stall": Promise("an honest client waits for", 250, unit="ms"),
            "growth": Promise("memory, against that before", 1.1, unit="×"),
            "secrets": Promise("tokens in the log"),
        },
    ),
    "jwt": refused("bad tokens", "one was taken, or refused in other words"),
    "mass": refused("`role`, `user_id`, `id`, `version` in a body", "something was changed"),
    "access": refused(
        "every route and socket command by nobody, another, a former assignee, a disabled user",
        "one was answered otherwise than the table says",
    ),
    "names": refused(
        "sign-in: unknown user against known",
        "an answer tells them apart",
        apart=Promise("medians apart, over 200 tries", 5, unit="ms"),
    ),
    "guessing": refused(
        "guessing passwords from one address, `X-Forwarded-For` rotating",
        "there were more than 10 tries a minute, or the owner was locked out",
    ),
    "queries": refused(
        "`% _ \\ ' --` in a search; odd `sort`, `cursor`, `limit`",
        "they were taken for anything but text, or not refused",
    ),
    "bodies": refused(
        "bodies too long, coded, deep, ambiguous, no Unicode, past every range",
        "one was not answered 400, 413 or 415, alike on SQLite and PostgreSQL",
    ),
    "smuggling": refused(
        "CR/LF in values, `Content-Length` with `Transfer-Encoding`", "a second request was seen"
    ),
    "origins": refused("foreign `Origin`, `null`, suffixes", "a page of another site was let in"),
    "socketio": refused(
        "Socket.IO packets that are none; more than 16 in a POST",
        "somebody else noticed",
        dropped=Promise(
            "packets of a POST dropped (up to 512 are done, past that it is refused as a whole)"
        ),
    ),
    "raw": refused("raw WebSockets against RFC 6455", "another close code came than the one named"),
    "wishes": refused(
        "`ping` by the thousand; others' rooms", "it was not stopped, or something was heard"
    ),
    "channel": refused("a pickle or rubbish on the Redis channel", "it ran, or one went deaf"),
    "url": refused("a token in a URL", "it was taken, or logged"),
    "fuzz": Row(
        "what reads bytes, fuzzed with coverage: frames, requests, JSON, packets, messages",
        {"crashes": Promise("fuzzers that found an input that breaks it")},
        least_tries=100_000,
    ),
    "defaults": refused("known passwords and secrets", "one was good"),
    "logs": Row(
        "all of the above",
        {"secrets": Promise("lines with a token, a password or a secret in any server's log")},
    ),
}
