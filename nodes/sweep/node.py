"""A grid of pictures over two parameters, as one labelled sheet."""

from dataclasses import replace
from typing import Any

import torch
from comfy_api.latest import io
from torch import Tensor

from .. import host, inputs
from ..inputs import Job, choice
from ..pictures import contact_sheet, drawing
from ..pictures.runs import Run, attempt, message
from . import values
from .values import AXES, NONE


def _axis(what: str, default: str, shown: str, options: list[str]) -> list[io.Input]:
    return [
        io.Combo.Input(f"{what}s", options=options, default=default, tooltip=f"What changes from {what} to {what}."),
        io.String.Input(
            f"{what}_values",
            default=shown,
            display_name=f"values of {what}s",
            tooltip="Values with commas between them, and a point for decimals: 0, 0.5, 1. low:high:count is a "
            "range of numbers: 0:1:5. sampler: lml or any of ComfyUI's. scheme: an order may follow, as in "
            "dpmsolver++ 2.",
        ),
    ]


class LMLSweep(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LMLSweep",
            display_name="LML Sweep",
            category=inputs.CATEGORY,
            description="Makes a grid of pictures over two of λ, κ, steps, scheme, sampler and CFG, all from one "
            "seed, on one sheet with labels.",
            search_aliases=[*inputs.SEARCH_ALIASES, "sweep", "grid", "xy plot", "contact sheet", "compare samplers"],
            inputs=inputs.job_inputs(
                inputs.vae(),
                *_axis("column", "κ", "0, 0.5, 1", list(AXES)),
                *_axis("row", "steps", "5, 8, 12", [NONE, *AXES]),
                io.Int.Input(
                    "cell_size",
                    default=256,
                    min=32,
                    max=2048,
                    advanced=True,
                    tooltip="Longer side of a picture on the sheet, in pixels. The single pictures keep their size.",
                ),
            ),
            outputs=[
                io.Image.Output(display_name="sheet", tooltip="All pictures with their values."),
                io.Image.Output(
                    display_name="images", tooltip="The single pictures, row by row, in their full size, as a batch."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        columns: str | None = None,
        column_values: str | None = None,
        rows: str | None = None,
        row_values: str | None = None,
        damping: float | None = None,
        kappa: float | None = None,
    ) -> bool | str:
        choice.check_factors(damping, kappa)
        if columns is None or column_values is None or rows is None or row_values is None:  # connected
            return True
        values.parse_grid(columns, column_values, rows, row_values, host.sampler_names())
        return True

    @classmethod
    @host.running.says_why
    def execute(
        cls, vae: Any, columns: str, column_values: str, rows: str, row_values: str, cell_size: int, **given: Any
    ) -> io.NodeOutput:
        across, down = values.parse_grid(columns, column_values, rows, row_values, host.sampler_names())
        job, varied = Job(**given), (columns, rows)
        host.check_filled(job.latent_image)
        base = replace(job, **{field: 1.0 for axis, field in values.FIELDS.items() if axis in varied}).scaled()
        grid = [[values.run_of({columns: x, rows: y}, job.steps, job.cfg, base) for x in across] for y in down]
        fixed = {"steps": job.steps, "CFG": job.cfg, "λ": job.damping, "κ": job.kappa}
        title = ", ".join(
            [f"seed {job.seed}", job.scheduler]
            + [f"{name} {value:g}" for name, value in fixed.items() if name not in varied]
        )
        names = [values.label(columns, value) for value in across]
        sides = [values.label(rows, value) for value in down]
        sheet = Sheet(grid, names, sides, title, cell_size)
        images = sheet.fill(job, vae)
        host.running.show_text(title)
        return io.NodeOutput(drawing.to_tensor(sheet.draw()), images)


class Sheet:
    """The grid while it grows."""

    def __init__(self, grid: list[list[Run | str]], columns: list[str], rows: list[str], title: str, size: int) -> None:
        """The grid holds a run for each cell, or why there can be none."""
        self.grid, self.columns, self.rows, self.title, self.size = grid, columns, rows, title, size
        self.shown: dict[Run | str, contact_sheet.Cell] = {
            cell: cell for row in grid for cell in row if isinstance(cell, str)
        }

    def draw(self) -> Any:
        """The sheet as far as it is."""
        cells = [[self.shown.get(run) for run in row] for row in self.grid]
        return contact_sheet.contact_sheet(cells, self.columns, self.rows, self.title)

    def fill(self, job: Job, vae: Any) -> Tensor:
        """Run every cell, equal ones once. Gives all pictures row by row; those of failed cells are messages.

        Raises:
            RuntimeError: all cells failed.
        """
        cells = list(dict.fromkeys(cell for row in self.grid for cell in row))
        runs = [cell for cell in cells if isinstance(cell, Run)]
        progress = host.running.Progress(job.model, sum(run.steps for run in runs))
        images: dict[Run | str, Tensor] = {}
        for run in runs:
            made = attempt(job, vae, run, progress.callback)
            if isinstance(made, str):
                self.shown[run] = made
            else:
                images[run], self.shown[run] = made, contact_sheet.tile(made, self.size)
            progress.advance(run.steps)
            progress.show(self.draw)
        if not images:
            raise RuntimeError(f"All {len(cells)} runs of the sweep failed. The first: {self.shown[cells[0]]}")
        like = next(iter(images.values()))
        for cell in cells:
            if cell not in images:
                images[cell] = message(str(self.shown[cell]), like)
        return torch.cat([images[cell] for row in self.grid for cell in row])
