"""Whether the process with this environment is ready: `python -m deploy.health [seconds]`.

Asks its `/ready`, once or until it says yes for at most so many seconds.  The exit code tells.
For a container without curl, and for systemd to wait by.
"""

from __future__ import annotations

import sys
import time
import urllib.error
import urllib.request

from config import Config, ConfigError

ANSWER_SECONDS = 3
PAUSE = 0.1
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}


def address(config: Config) -> str:
    """The URL of the process's `/ready`."""
    host = ANYWHERE.get(config.HOST, config.HOST)
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"http://{host}:{config.PORT}/ready"


def complaint(url: str) -> str | None:
    """Why it is not ready; None when it is."""
    # Past whatever proxy the environment names: this is about this machine.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=ANSWER_SECONDS):
            return None
    except (urllib.error.URLError, OSError) as error:
        return f"{url}: {error}"


def main() -> int:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    try:
        url = address(Config())
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    late = time.monotonic() + seconds
    while found := complaint(url):
        if time.monotonic() >= late:
            print(found, file=sys.stderr)
            return 1
        time.sleep(PAUSE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
