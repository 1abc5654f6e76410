"""Runs cells in worker processes, each with a ComfyUI of its own."""

import logging
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any

import torch
from comfy_host.inprocess import load_other_packs, load_pack
from tqdm import tqdm
from zoo.problems import weights_file

from .grid import Task
from .store import FOLDER, Cells, Record

WORKERS = 2
BAR = "{desc}: {percentage:3.0f}%|{bar}| {elapsed}, {remaining} left"


def start_worker() -> None:
    """Load ComfyUI into a process; the terminal's Ctrl-C is for the parent alone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load_quietly()


def load_quietly() -> None:
    """Load ComfyUI with its packs, without log lines and without the warnings of its samplers."""
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    warnings.simplefilter("ignore", UserWarning)
    load_pack()
    load_other_packs()


def in_workers(
    pool: ProcessPoolExecutor, job: Callable[[Any], Any], costs: dict[Any, float], name: str
) -> Iterator[Any]:
    """Results as they come, beside a bar; the first error ends the run, but what is finished was given.

    Args:
        costs: what a job takes and how much work it is, for the bar.
    """
    futures = {pool.submit(job, entry): cost for entry, cost in costs.items()}
    with tqdm(total=sum(costs.values()), desc=name, bar_format=BAR) as progress:
        for future in as_completed(futures):
            yield future.result()
            progress.update(futures[future])


def make(todo: list[Task], expected: Collection[str], cells: Cells) -> None:
    """Make cells, whose keys are known before, in worker processes."""
    from . import work

    solutions = list(dict.fromkeys(task.condition.solution for task in todo))
    # The dear ones first, so that no worker is left alone with one at the end.
    solutions.sort(key=lambda solution: solution.exact)
    todo.sort(key=lambda task: (task.condition.exact, task.condition))
    # A pool that is never shut down by `with`: that would wait for all that is queued after Ctrl-C.
    pool = ProcessPoolExecutor(WORKERS, get_context("spawn"), start_worker)
    try:
        for _ in in_workers(pool, work.converged, dict.fromkeys(solutions, 1.0), "converged solutions"):
            pass
        for records in in_workers(pool, work.run_task, {task: task.cost for task in todo}, "cells"):
            for record in records:
                if record["key"] not in expected:
                    raise SystemExit("The sources changed during the run. Run it again; what is finished is kept.")
                cells.add(record)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def measured(wanted: list[Task]) -> list[Record]:
    """All cells of the tasks, from what is kept and made where missing; Ctrl-C ends the process and keeps them."""
    from . import work

    keys = {(task, count): work.cell_key(task.condition, task.entry, count) for task in wanted for count in task.calls}
    cells = Cells(FOLDER / "cells.jsonl")
    left = {task: tuple(count for count in task.calls if keys[task, count] not in cells.found) for task in wanted}
    todo = [task._replace(calls=calls) for task, calls in left.items() if calls]
    try:
        if todo:
            make(todo, set(keys.values()), cells)
    except KeyboardInterrupt:
        sys.exit(f"\nEnded. {len(cells.found)} cells are kept in {FOLDER}; run the same command to go on.")
    return [cells.found[key] for key in keys.values()]


def trained(names: Sequence[str]) -> bool:
    """Whether networks of the zoo are trained; says so if not."""
    lacking = [name for name in names if not weights_file(name).exists()]
    if lacking:
        print(f"Without the zoo: {', '.join(lacking)} missing. `make zoo` trains them.")
    return not lacking
