"""npm packages, installed beside the `package.json` that names them (git ignores the folder)."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
from pathlib import Path

INSTALL = "install --no-audit --no-fund --no-package-lock --ignore-scripts --loglevel=error"
SECONDS = 120


def install(npm: str, folder: Path) -> Path:
    """The folder's `node_modules`; installs them when `package.json` is not what they came from.

    Several test processes may ask at once: one installs, the others wait for it.
    """
    modules = folder / "node_modules"
    stamp = modules / ".from"
    digest = hashlib.sha256((folder / "package.json").read_bytes()).hexdigest()
    modules.mkdir(exist_ok=True)
    with (modules / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists() or stamp.read_text() != digest:
            done = subprocess.run(
                [npm, *INSTALL.split()], cwd=folder, capture_output=True, text=True, timeout=SECONDS
            )
            assert done.returncode == 0, done.stderr
            stamp.write_text(digest)
    return modules
