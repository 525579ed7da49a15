"""What notebooks import, for the process that their kernels are forked from."""

import atexit
import gc
import os
import pkgutil
from importlib import import_module

import localbook

os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as kernels have

for name in ("ipykernel.kernelapp", "matplotlib.pyplot", "torch", "torchvision"):
    import_module(name)
for name in ("launch", "neighbours", "reference", "trust"):  # a fork runs tools/book.py once more
    import_module(f"tools.{name}")
for module in pkgutil.walk_packages(localbook.__path__, "localbook."):
    if not module.name.endswith("__main__"):
        import_module(module.name)

gc.freeze()  # or every kernel's collector would walk through all of it, again and again
atexit.register(os._exit, 0)  # the server's end needs no account of what C++ libraries still hold
