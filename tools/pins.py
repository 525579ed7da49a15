"""Write constraints.txt: every version installed here, so that an installation can be repeated."""

import subprocess
import sys
from pathlib import Path

HEADER = """\
# Every version of one tried installation. A constraint installs nothing by itself, so platform-
# specific packages stand here without harm to other platforms. Made by `make pins`.
"""


def main() -> None:
    """Write the file next to requirements.txt."""
    freeze = [sys.executable, "-m", "pip", "freeze", "--exclude-editable"]
    done = subprocess.run(freeze, capture_output=True, text=True, check=True)
    pins = sorted(line for line in done.stdout.splitlines() if "==" in line)
    target = Path(__file__).resolve().parents[1] / "constraints.txt"
    target.write_text(HEADER + "\n".join(pins) + "\n")


if __name__ == "__main__":
    main()
