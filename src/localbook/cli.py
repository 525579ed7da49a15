"""The ``localbook`` command: run experiments, look at their records, fetch and check images.

Exit codes: 0 done, 1 a mistake that the one line on stderr explains, 2 unusable arguments,
130 interrupted.
"""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from localbook import __version__
from localbook.errors import LocalbookError, RecordError
from localbook.paths import checkout, recorded_benchmarks, recorded_runs
from localbook.threads import Threads

_OWN = Path("runs")  # where the runs of an installed package go: the current folder
_PARALLEL = Path("parallel-runs")  # checkpoints of module-parallel training
_BENCHMARKS = Path("benchmarks")  # and its benchmarks


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    args = _parser().parse_args(argv)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warn
            args.call(args)
        sys.stdout.flush()
    except LocalbookError as error:
        print(f"localbook: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nlocalbook: interrupted; finished epochs are kept.", file=sys.stderr)
        if args.call in (_run, _train_parallel):
            print("Continue with the same command and --resume.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _warn(message: Warning | str, *where: Any, **more: Any) -> None:
    """Show a warning as one line, like an error: where in the code it arose helps nobody here."""
    print(f"localbook: {message}", file=sys.stderr)


def _run(args: argparse.Namespace) -> None:
    from localbook import experiments

    run = experiments.run
    if args.workers != 1 or args.cluster:
        run = partial(experiments.sweep, workers=args.workers, cluster=args.cluster)
    setting = experiments.setting(args.experiment, args.profile)
    paths = run(
        args.experiment,
        args.profile,
        setting=experiments.changed(setting, args.set),
        data=args.data,
        seeds=args.seeds,
        methods=args.method,
        out=args.out,
        resume=args.resume,
        threads=args.threads,
    )
    for path in paths:
        print(path)


def _train_parallel(args: argparse.Namespace) -> None:
    from localbook.experiments import train_parallel

    history = train_parallel(
        args.profile,
        args.method,
        args.modules,
        replicas=args.replicas,
        data=args.data,
        seed=args.seed,
        out=args.out,
        resume=args.resume,
        threads=args.threads,
    )
    for row in history[-1:]:
        shown = ", ".join(f"{accuracy:.3f}" for accuracy in row["accuracy"])
        print(f"validation accuracy of each module: {shown}; {row['images_per_s']:.0f} images/s")


def _bench(args: argparse.Namespace) -> None:
    # Before numpy starts its threads: times of one thread can be compared between machines.
    threads = str(Threads.asked(args.threads).now)
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = threads
    from localbook import benchmarks
    from localbook.files import as_json

    def report(row: benchmarks.Row) -> None:
        print(f"{row.what}, {row.size}, {row.unit}", file=sys.stderr)

    found = benchmarks.run(args.name, report=report, gpu=args.gpu)
    if args.json:
        print(as_json(found))
    else:
        print(f"{benchmarks.table(found)}\n\n{benchmarks.caption(found)}")
    print(benchmarks.write(found, args.out), file=sys.stderr)


def _runs_list(args: argparse.Namespace) -> None:
    from localbook import runs

    records = runs.load(folder=args.out)
    if not records:
        raise RecordError(f"no records in {args.out}; choose another folder with --out.")
    for record in records:
        name = f"{record.experiment}/{record.profile}-{record.method}"
        print(f"{name:<40} {len(record.seeds)} seeds  {record.date}  {record.source['test']}")


def _runs_show(args: argparse.Namespace) -> None:
    from localbook import runs

    is_file = args.record.endswith(".json")
    path = Path(args.record) if is_file else args.out / f"{args.record}.json"
    runs.read(path)  # checked before it is shown
    print(path.read_text(encoding="utf-8"), end="")


def _runs_compare(args: argparse.Namespace) -> None:
    from localbook import runs

    records = runs.load(args.experiment, profile=args.profile, folder=args.out)
    metrics = args.metric or ["test_accuracy"]
    print(runs.compare(records, metrics, baseline=args.baseline, margin=args.margin))


def _data_list(args: argparse.Namespace) -> None:
    from localbook import data

    for name in data.known():
        print(name)


def _data_fetch(args: argparse.Namespace) -> None:
    from localbook import data

    print(data.fetch(args.name, args.root))


def _data_check(args: argparse.Namespace) -> None:
    from localbook import data

    print("\n".join(data.check(args.name, args.root)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="localbook", description=__doc__.split("\n\n")[0])
    parser.add_argument("--version", action="version", version=f"localbook {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_run(commands.add_parser("run", help="run an experiment and record it"))
    _add_train_parallel(
        commands.add_parser("train-parallel", help="train every module in a process of its own")
    )
    _add_bench(commands.add_parser("bench", help="measure times and memory beside baselines"))
    _add_runs(commands.add_parser("runs", help="list, show or compare run records"))
    _add_data(commands.add_parser("data", help="list, fetch or check image sets"))
    return parser


def _add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("experiment", help="its name, such as gradient-isolation")
    parser.add_argument(
        "--profile", default="quick", help="quick (default), cpu or gpu: how much is run"
    )
    parser.add_argument(
        "--data", metavar="DIR", help="a folder of images, or a set's name, in place of the usual"
    )
    parser.add_argument("--seeds", type=int, metavar="N", help="how many seeds")
    parser.add_argument(
        "--set", action="append", default=[], metavar="FIELD=VALUE",
        help="another value of a field of the setting, such as lr=0.1 or model.widths=8,8; "
        "repeatable",
    )  # fmt: skip
    parser.add_argument("--method", action="append", help="only this one; repeatable")
    _add_out(parser, recorded_runs() if checkout() else _OWN)
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="as many methods at once, by processes"
    )
    parser.add_argument(
        "--cluster", metavar="ADDRESS", help="or by the workers of this Dask scheduler"
    )
    _add_threads(parser, "of torch: chosen by measuring if not given (nor OMP_NUM_THREADS)")
    parser.set_defaults(call=_run)


def _add_train_parallel(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Train a network whose modules each have a process: K x R of them on this machine, or "
        "those of `torchrun --nproc-per-node=N -m localbook train-parallel --modules K`, which "
        "makes R = N / K replicas of each."
    )
    parser.add_argument("--modules", type=int, default=2, metavar="K", help="how many (2)")
    parser.add_argument("--replicas", type=int, default=1, metavar="R", help="of each module (1)")
    parser.add_argument("--profile", default="quick", help="quick (default), cpu or gpu")
    parser.add_argument("--method", default="sgr", help="local, dgl or sgr (default)")
    parser.add_argument(
        "--data", metavar="DIR", help="a folder of images, or a set's name, in place of the usual"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the batches (0)")
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=_PARALLEL, help=f"for checkpoints ({_PARALLEL})"
    )
    parser.add_argument("--resume", action="store_true", help="continue an interrupted run")
    _add_threads(parser, "of each process: chosen by measuring if not given (nor OMP_NUM_THREADS)")
    parser.set_defaults(call=_train_parallel)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name",
        help="the question: book, boundary, language, memory, memory-paper, multigrid, parallel, "
        "peers, profile, reconcile, regions, second-derivatives, step-time, threads, train or "
        "zonotope",
    )
    parser.add_argument("--json", action="store_true", help="print the record, not a table")
    parser.add_argument("--gpu", action="store_true", help="measure on a GPU, by its own clock")
    _add_out(parser, recorded_benchmarks() if checkout() else _BENCHMARKS)
    _add_threads(parser, "to measure with (1, or OMP_NUM_THREADS)")
    parser.set_defaults(call=_bench)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    lister = commands.add_parser("list", help="one line for each record")
    lister.set_defaults(call=_runs_list)
    show = commands.add_parser("show", help="print one record")
    show.add_argument("record", help="as `list` names it, or a file")
    show.set_defaults(call=_runs_show)
    compare = commands.add_parser("compare", help="mean ± deviation of each method, as markdown")
    compare.add_argument("experiment")
    compare.add_argument("--profile")
    compare.add_argument("--metric", action="append", help="test_accuracy by default; repeatable")
    compare.add_argument("--baseline", metavar="METHOD", help="add paired differences from it")
    compare.add_argument(
        "--margin", type=float, default=0.0, help="the largest difference that counts as none (0)"
    )
    compare.set_defaults(call=_runs_compare)
    for command in (lister, show, compare):
        _add_out(command, _OWN if not checkout() and _OWN.is_dir() else recorded_runs())


def _add_out(parser: argparse.ArgumentParser, default: Path) -> None:
    parser.add_argument(
        "--out", metavar="DIR", type=Path, default=default, help=f"records folder ({default})"
    )


def _add_threads(parser: argparse.ArgumentParser, use: str) -> None:
    parser.add_argument("--threads", type=int, metavar="N", help=use)


def _add_data(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    commands.add_parser("list", help="the names of the known sets").set_defaults(call=_data_list)
    fetch = commands.add_parser("fetch", help="download a published set")
    fetch.set_defaults(call=_data_fetch)
    check = commands.add_parser("check", help="verify checksums, or decode a whole folder")
    check.set_defaults(call=_data_check)
    for command in (fetch, check):
        command.add_argument("name", help="a set's name (or a folder, for check)")
        command.add_argument("--root", metavar="DIR", help="in place of $LOCALBOOK_DATA")
