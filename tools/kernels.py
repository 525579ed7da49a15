"""Kernels forked from a process that has imported the book's libraries already, for all notebooks.

A notebook needs some seconds of processor time before its first line: torch, matplotlib, and the
rest are read again for each. A server reads them once, and every notebook gets a process of its
own that begins there; what a notebook changes is gone with it.
"""

import multiprocessing
import os
import resource
import signal
from functools import cache
from importlib.metadata import EntryPoint
from multiprocessing import forkserver
from multiprocessing.context import ForkServerProcess
from typing import Any

from jupyter_client.provisioning.factory import KernelProvisionerFactory
from jupyter_client.provisioning.local_provisioner import LocalProvisioner

_CONTEXT = multiprocessing.get_context("forkserver")


def fork_from_here_on() -> None:
    """Let every kernel that this process starts be forked; needs the start method "forkserver"."""
    _CONTEXT.set_forkserver_preload(["tools.libraries"])
    forkserver.ensure_running()  # here, where `tools` is found: notebooks run in folders of theirs
    found = KernelProvisionerFactory.instance()
    found.provisioners["forked"] = EntryPoint(
        "forked", f"{__name__}:Forked", KernelProvisionerFactory.GROUP_NAME
    )
    found.default_provisioner_name = "forked"


def processor_time() -> float:
    """Return the processor seconds of all forked kernels that have ended, and their children's."""
    return float(_seconds().value)


@cache
def _seconds() -> Any:
    """Return the number that kernels add to, made where it is first asked for."""
    return _CONTEXT.Value("d", 0.0)


class _Process(ForkServerProcess):
    """A process with the methods that a provisioner asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        return self.exitcode

    def wait(self) -> int | None:
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        if self.pid and self.is_alive():
            os.kill(self.pid, number)


class Forked(LocalProvisioner):
    """Starts kernels by forking, where others start a Python."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> Any:
        """Start a kernel for a connection file, in the folder and the environment asked for."""
        manager: Any = self.parent
        given = (manager.connection_file, kwargs.get("cwd"), dict(kwargs["env"]), _seconds())
        self.process: Any = _Process(target=_serve, args=given)
        self.process.start()
        self.pid = self.pgid = self.process.pid  # it leads a group, as a kernel does
        return self.connection_info


def _serve(connection_file: str, folder: str | None, env: dict[str, str], seconds: Any) -> None:
    """Be a kernel until it is shut down."""
    from ipykernel.kernelapp import IPKernelApp

    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a fork server ignores it
    os.environ.clear()
    os.environ.update(env)
    os.chdir(folder or ".")
    try:
        words = f"--IPKernelApp.parent_handle={os.getppid()}"  # the kernel ends when that does
        # Papermill tells what fails in a cell; the kernel's own log has nothing for a reader.
        IPKernelApp.launch_instance(argv=["-f", connection_file, words, "--log-level=CRITICAL"])
    finally:
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        with seconds.get_lock():
            seconds.value += sum(part.ru_utime + part.ru_stime for part in used)
