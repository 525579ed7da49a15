"""Find a headless Chromium, or install one: `make test-browser` and `make pdf` drive it.

`python -m tools.browser` installs what is missing, and says which browser is used.
"""

import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")


class NoBrowserError(Exception):
    """There is no browser, and none could be installed."""


def find(playwright: Playwright) -> str | None:
    """Return where a browser is: the system's, or else playwright's own, or None."""
    own = playwright.chromium.executable_path
    system = next(filter(None, map(shutil.which, NAMES)), None)
    return system or (own if Path(own).exists() else None)


def install(playwright: Playwright) -> str:
    """Return where a browser is, installing one if there is none.

    Raises
    ------
    NoBrowserError
        If that fails.
    """
    if found := find(playwright):
        return found
    as_root = os.name == "posix" and os.geteuid() == 0
    if as_root and shutil.which("apt-get"):
        commands = [
            ["apt-get", "update", "-qq"],
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"],
        ]
    else:
        commands = [[sys.executable, "-m", "playwright", "install", "chromium"]]
    codes = [subprocess.run(command, check=False).returncode for command in commands]
    if found := find(playwright):
        return found
    raise NoBrowserError(
        f"No Chromium was found, and `{' '.join(commands[-1])}` ended with code {codes[-1]}: "
        "install Chromium yourself so that `chromium` is on the PATH, and run this again."
    )


def launch(playwright: Playwright) -> Browser:
    """Start the browser that :func:`install` returns."""
    # Chromium refuses its sandbox to root; what is opened here is our own build only.
    as_root = os.name == "posix" and os.geteuid() == 0
    arguments = ["--no-sandbox"] if as_root else []
    return playwright.chromium.launch(executable_path=install(playwright), args=arguments)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: a request that fails is reported by who made it."""


@contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine only, on a free port, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def main() -> int:
    """Install what is missing and say which browser is used; return an exit code."""
    try:
        with sync_playwright() as playwright:
            print(f"Browser: {install(playwright)}")
    except NoBrowserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
