"""Start the server: `python app.py`.  Also the application for `flask --app app …`."""

from __future__ import annotations

import argparse
import os
import sys

from config import ROOT, Config, ConfigError
from task_app import create_app, server
from task_app.version import VERSION


def arguments() -> argparse.Namespace:
    """The server's own flags; everything else is a setting (see the README)."""
    parser = argparse.ArgumentParser(description="The task server.")
    parser.add_argument("--version", action="version", version=VERSION)
    parser.add_argument(
        "--demo",
        action="store_true",
        help="add admin@example.com / admin123 and sample tasks; listens on loopback only",
    )
    parser.add_argument(
        "--dev",
        action="store_true",
        help="start anew when a file changes, and show tracebacks; listens on loopback only",
    )
    parser.add_argument("--supervised", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> int:
    """Serve until told to stop.  Returns the exit code."""
    flags = arguments()
    os.umask(0o077)  # the database and the secrets are for this user alone
    try:
        config = Config()
        server.patch(config.ASYNC_MODE)  # before anything else is imported
        from task_app import bootstrap, instance, reload, traces

        if flags.dev and config.HOST not in bootstrap.LOOPBACK:
            raise ConfigError("--dev shows tracebacks to whoever asks: set HOST to 127.0.0.1.")
        if flags.dev and not flags.supervised:
            return reload.supervise([sys.executable, *sys.argv, "--supervised"], ROOT)
        app = create_app(config)
        if flags.dev:
            reload.show_tracebacks(app)
        try:
            if config.OTEL_EXPORTER_OTLP_ENDPOINT:
                traces.start(app)
            with instance.used(app.instance_path):
                bootstrap.prepare(app, demo=flags.demo)
                server.serve(app)
            traces.stop()
        except (
            *(bootstrap.StartError, server.ListenError),
            *(instance.InstanceError, traces.TracesError),
        ) as error:
            raise ConfigError(str(error)) from error
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
