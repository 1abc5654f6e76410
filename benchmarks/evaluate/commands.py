"""The commands of `benchmarks/eval.py`.

What takes seconds to import is imported where it is needed: stub workers start anew each time that they die.
"""

import json
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from . import engines, suite, units
from .board import Board
from .errors import EvaluationError
from .store import Store
from .suite import Suite
from .units import Unit

OUT = Path(__file__).resolve().parents[2] / ".evaluate"


def folder_of(options: Namespace) -> Path:
    """Where an evaluation is kept."""
    return options.out or OUT / Path(options.suite).stem


def plan(options: Namespace) -> None:
    """Say how much it is; run and write nothing."""
    chosen = suite.load(options.suite)
    print(said(chosen, units.units(chosen), Store(folder_of(options)), options.seconds_a_call, options.workers))


def said(chosen: Suite, todo: list[Unit], store: Store, seconds: float | None, workers: int) -> str:
    """How much a suite is, and how long it takes if that can be known."""
    done = sum(store.is_done(unit) for unit in todo)
    pictures, calls = sum(unit.pictures for unit in todo), units.calls(chosen)
    text = [
        f"{chosen.title}",
        f"{len(units.cells(chosen))} cells, {len(todo)} units ({done} made), {pictures} pictures, {calls} calls of the "
        "model for one picture each",
    ]
    left = sum(unit.pictures for unit in todo if not store.is_done(unit))
    measured = [line["seconds"] / line["pictures"] for line in store.log() if line["pictures"]]
    if seconds is not None:
        text.append(f"about {calls * seconds / workers / 3600:.3g} hours on {workers} workers at {seconds} s a call")
    elif measured:
        each = sum(measured) / len(measured)
        hours = each * left / workers / 3600
        text.append(f"about {hours:.3g} more hours on {workers} workers, at the {each:.3g} s a picture so far")
    else:
        text.append("how long is not known before some units are made: give --seconds-a-call, or make some")
    if chosen.files:
        text += ["needs:", *(f"  {file.path}  from {file.source}" for file in chosen.files)]
    if chosen.prompts and chosen.prompts.source:
        text.append(f"  {chosen.prompts.file}  from {chosen.prompts.source}")
    return "\n".join(text)


def make(options: Namespace) -> int:
    """Make what is not made; the exit status."""
    chosen = suite.load(options.suite)
    todo, store = units.units(chosen), Store(folder_of(options))
    with store.owned(), _workers(chosen, options) as workers:
        if options.again:
            store.forgive()
        store.hold_to(engines.ask_all(workers))
        board = Board(store, todo)
        if not board.is_over:
            kept = store.path(todo[0]).read_bytes() if store.is_done(todo[0]) else None
            engines.compare_workers(workers, todo[0], kept)
            engines.make_in_threads(board, workers, options.patience)
    counts = board.counts
    print(f"{counts.made} units made, {counts.done_before} were made before, {counts.lost} times a worker died", end="")
    print(f", {len(counts.failed)} units cannot be made" if counts.failed else "")
    for cell, reason in dict(counts.failed).items():
        print(f"  {cell}: {reason}")
    if board.error:
        raise board.error
    if counts.failed:
        print("Their cells are in no table. `make --again` tries them once more.")
    return 1 if counts.failed else 0


@contextmanager
def _workers(chosen: Suite, options: Namespace) -> Iterator[list[Any]]:
    """The workers that the options name, closed at the end of a `with`."""
    from .worker import ComfyWorker, OwnComfyWorker

    template = units.cell_workflow(chosen, units.cells(chosen)[0], chosen.template)
    with ExitStack() as stack:
        if options.server:
            workers: list[Any] = [ComfyWorker(address, chosen.files, template) for address in options.server]
        elif options.engine == "ray":
            from . import ray_engine

            stack.enter_context(ray_engine.cluster(options.ray_address, cpus=options.workers or None))
            gpus = ray_engine.gpus()
            given = chosen.files, template, options.models, () if gpus else ("--cpu",)

            def own(number: int) -> OwnComfyWorker:
                return OwnComfyWorker(f"actor {number}", *given)

            workers = [ray_engine.RayWorker(own, number, bool(gpus)) for number in range(options.workers or gpus or 1)]
        else:
            workers = [
                OwnComfyWorker(f"comfyui {number}", chosen.files, template, options.models, device)
                for number, device in enumerate(devices(options.workers))
            ]
        for worker in workers:
            stack.callback(worker.close)
        yield workers


def devices(workers: int) -> list[tuple[str, ...]]:
    """The device arguments of each ComfyUI: one for every GPU, or so many on the processor."""
    import torch

    gpus = torch.cuda.device_count()
    if not gpus:
        return [("--cpu",)] * (workers or 1)
    return [("--cuda-device", str(number % gpus)) for number in range(workers or gpus)]


def score(options: Namespace) -> None:
    """Score what is whole, and print the tables."""
    from . import scoring

    scoring.score(
        suite.load(options.suite), Store(folder_of(options)), options.reference, options.weights, options.clip
    )
    table(Namespace(folders=[folder_of(options)]))


def table(options: Namespace) -> None:
    """Write and print the tables of scored folders."""
    from . import tables

    parts = []
    for folder in options.folders:
        path = folder / "scores.json"
        if not path.exists():
            raise EvaluationError(f"{path} is missing: run `score` first.")
        parts.append(json.loads(path.read_text()))
    scores = tables.merged(parts)
    store = Store(options.folders[0])
    text = tables.markdown(scores)
    store.write(store.folder / "table.md", text.encode())
    store.write(store.folder / "table.csv", tables.comma_separated(scores).encode())
    print(text)
    print(f"Written to {store.folder / 'table.md'} and table.csv")


def export(options: Namespace) -> None:
    """Write pictures for another benchmark."""
    from .export import t2i_compbench

    chosen = suite.load(options.suite)
    target = options.target or folder_of(options) / "t2i-compbench"
    count = t2i_compbench(chosen, Store(folder_of(options)), target, options.model, Path(options.suite).stem)
    print(f"{count} pictures in {target}")


def simulate(options: Namespace) -> None:
    """Make stub units, with workers that die."""
    from .simulate import said, simulate
    from .stub import Stub

    stub = Stub(seconds=options.seconds, dying=options.dying)
    print(said(simulate(options.out, options.units, options.engine, options.workers, stub)))
