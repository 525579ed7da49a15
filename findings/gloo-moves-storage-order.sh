#!/usr/bin/env bash
# torch 2.15.0
#
# Behaviour: torch.distributed's broadcast over gloo, from a contiguous tensor into a transposed one of the
# same shape, fills the receiver in the order of its memory, not of its elements. all_gather of
# tensors whose layouts differ is right.
# Seen: rank 0 broadcasts [[0, 1, 2], [3, 4, 5]]; rank 1 receives into torch.zeros(3, 2).T and has
# [[0, 2, 4], [1, 3, 5]].
#
# Guessed: a collective moves elements by their index, as copy_ does, or refuses what it cannot.
#
# Why it surprises: shapes and types agree, so nothing is raised; parameters of one model end up permuted
# in a replica whose layout differs (a transposed view, channels_last), and training goes on.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python=${FINDINGS_PYTHON:-$place/venv/bin/python}
if [ -z "${FINDINGS_PYTHON:-}" ]; then
    python3 -m venv "$place/venv"
    "$python" -m pip install --quiet torch==2.15.0 numpy==2.4.6
fi
cd "$place"
"$python" -W ignore - <<'END'
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

PROGRAM = """
import sys, torch, torch.distributed as dist
rank, store = int(sys.argv[1]), sys.argv[2]
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
sent = torch.arange(6.0).reshape(2, 3)
received = sent.clone() if rank == 0 else torch.zeros(3, 2).T
dist.broadcast(received, 0)
gathered = [torch.zeros(2, 3) for _ in range(2)]
mine = sent.clone() if rank == 0 else (10 + sent).T.contiguous().T
dist.all_gather(gathered, mine)
if rank == 1:
    print(received.tolist(), gathered[1].tolist(), sep="\\n")
dist.destroy_process_group()
"""

assert torch.__version__.startswith("2.15.0"), torch.__version__
with tempfile.TemporaryDirectory() as folder:
    program = Path(folder) / "program.py"
    program.write_text(PROGRAM)
    words = [sys.executable, "-W", "ignore", str(program)]
    ranks = [
        subprocess.Popen([*words, str(rank), f"{folder}/store"], stdout=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]
    _, said = (rank.communicate(timeout=120)[0] for rank in ranks)
print(said)
broadcast, gathered = said.splitlines()[-2:]
assert gathered == "[[10.0, 11.0, 12.0], [13.0, 14.0, 15.0]]"
assert broadcast == "[[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]", "broadcast has changed"
END
