"""The sweep in the real ComfyUI: its cells are the pictures of the samplers themselves."""

import re
import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from comfy_host.client import Client, PromptError
from comfy_host.prompts import SUBJECT, Info, around
from demo_runs import Linked, around_the_model, built_in, decoded, lml, never_called, run, tiny_inputs


def sweep(pack: ModuleType, linked: Linked, **options: Any) -> tuple[Any, ...]:
    return run(pack.nodes.sweep.LMLSweep, linked, **({"seed": 1, "steps": 3, "cfg": 4.0} | options))


def marked(sheet: torch.Tensor) -> int:
    """How many points of a sheet are in the colour of a message."""
    alarm = torch.tensor([0xA3, 0x20, 0x1A]) / 255
    return int(((sheet - alarm).abs().amax(-1) < 0.05).sum())


@pytest.mark.every_host
@pytest.mark.parametrize("variant", ["eps", "flow"])
def test_the_cells_are_the_pictures_of_the_samplers(pack: ModuleType, variant: str) -> None:
    linked = tiny_inputs(variant, batch=2)
    options = {"columns": "sampler", "column_values": "lml, euler, uni_pc", "rows": "CFG", "row_values": "1:4:2"}
    sheet, images = sweep(pack, linked, **options)
    assert images.shape == (12, 8, 8, 3) and images.device.type == "cpu" and sheet.shape[1] > 250
    cell = 0
    for cfg in (1.0, 4.0):
        for name in ("lml", "euler", "uni_pc"):
            options = {"steps": 3, "cfg": cfg, "seed": 1}
            expected = lml(pack, linked, **options) if name == "lml" else built_in(linked, name, **options)
            assert torch.equal(images[cell : cell + 2], decoded(pack, linked, expected)), (name, cfg)
            cell += 2


@pytest.mark.parametrize(
    ("axis", "values", "inputs"),
    [
        ("λ", "0.5, 2", [{"damping": 0.5}, {"damping": 2.0}]),
        ("κ", "0:0.8:2", [{"kappa": 0.0}, {"kappa": 0.8}]),
        ("steps", "2\n4", [{"steps": 2}, {"steps": 4}]),
        (
            "scheme",
            "ddim, dpmsolver++ 2",
            [{"settings": {"scheme": "ddim"}}, {"settings": {"scheme": "dpmsolver++", "order": 2}}],
        ),
    ],
)
def test_every_axis_is_the_input_of_that_name(
    pack: ModuleType, axis: str, values: str, inputs: list[dict[str, Any]]
) -> None:
    linked = tiny_inputs()
    _, images = sweep(pack, linked, columns=axis, column_values=values, rows="none")
    for image, chosen in zip(images, inputs, strict=True):
        settings = pack.lml_sampler.LMLSettings(**chosen.get("settings", {}))
        options = {"seed": 1, "steps": 3, "cfg": 4.0} | chosen | {"settings": settings}
        expected = lml(pack, linked, **options)
        assert torch.equal(image[None], decoded(pack, linked, expected)), chosen
    assert not torch.equal(images[0], images[1])


@pytest.mark.every_host
@pytest.mark.parametrize(
    ("options", "bad", "good", "message", "begun"),
    [
        ({"columns": "steps", "scheduler": "kl_optimal"}, "1", "3", "scheduler is 'kl_optimal', which fails", True),
        ({"columns": "scheme"}, "dpmsolver++ 2", "ddim", "target is 'direction', which only the scheme ddim", False),
    ],
)
def test_a_failed_cell_leaves_the_others(
    pack: ModuleType,
    caplog: pytest.LogCaptureFixture,
    options: dict[str, Any],
    bad: str,
    good: str,
    message: str,
    begun: bool,
) -> None:
    """ComfyUI's kl_optimal divides 0 by 0 at one step; a scheme that the settings do not go with is not begun."""
    linked, settings = tiny_inputs(), pack.lml_sampler.LMLSettings(scheme="ddim", target="direction")
    options = options | {"rows": "none", "settings": settings}
    sheet, images = sweep(pack, linked, column_values=f"{bad}, {good}", **options)
    scheduler = options.get("scheduler", "lml")
    expected = lml(pack, linked, seed=1, steps=3, cfg=4.0, scheduler=scheduler, settings=settings)
    assert torch.equal(images[1:], decoded(pack, linked, expected)) and images.shape[0] == 2
    assert marked(sheet) > 500 and (message in caplog.text) == begun
    with pytest.raises(RuntimeError, match=f"All 1 runs of the sweep failed. The first: {message}"):
        sweep(pack, never_called(linked), column_values=bad, **options)


def test_equal_cells_run_once(pack: ModuleType) -> None:
    """euler knows no κ."""
    calls = []

    def counted(apply: Any, args: dict[str, Any]) -> torch.Tensor:
        calls.append(1)
        return apply(args["input"], args["timestep"], **args["c"])

    axes = {"columns": "κ", "column_values": "0:1:3", "rows": "sampler", "row_values": "euler"}
    _, images = sweep(pack, around_the_model(tiny_inputs(), counted), **axes)
    assert len(calls) == 3 and len(images) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"columns": "steps", "rows": "steps"}, "columns and rows are both 'steps'"),
        ({"column_values": " , "}, "column_values is empty. Write κ like this: 0, 0.5, 1 or 0:1:5"),
        ({"column_values": "0, x"}, "column_values: 'x' is neither a number nor a range low:high:count"),
        ({"column_values": "0:1"}, "'0:1' is neither a number nor a range"),
        ({"column_values": "0:1:1"}, "has a count of 1, which must be 2 to 400"),
        ({"column_values": "-1"}, "gives -1, which is not within 0 to 1"),
        ({"column_values": "nan"}, "gives nan, which is not within"),
        ({"column_values": "1, 1.0"}, "column_values has κ 1 twice"),
        ({"column_values": "0:1:401"}, "must be 2 to 400"),
        ({"column_values": "0:1:200", "row_values": "1:3:3"}, "make 600 cells; 400 is the most"),
        ({"row_values": "5, 7.5"}, "row_values: '7.5' gives 7.5, which is not a whole number"),
        ({"row_values": "0"}, "gives 0, which is not within 1 to 10000"),
        ({"columns": "sampler", "column_values": "lml, euler2"}, "'euler2' is not one of ComfyUI's samplers"),
        ({"columns": "scheme", "column_values": "rk4"}, "'rk4' is not one of "),
        ({"columns": "scheme", "column_values": "dpmsolver 4"}, "with an order of 1 to 3 after a space"),
        ({"columns": "scheme", "column_values": "ddim 2"}, "order is 2, but the scheme ddim is of order 1"),
        ({"column_values": "1.5"}, "gives 1.5, which is not within 0 to 1"),
        ({"columns": "λ", "column_values": "101"}, "gives 101, which is not within 0 to 100"),
    ],
)
def test_bad_lists_are_named_before_the_model_is_called(
    pack: ModuleType, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        sweep(pack, never_called(tiny_inputs()), **options)


@pytest.mark.every_host
def test_a_sweep_in_a_running_comfyui(server: Client, info: Info) -> None:
    result = server.run(around(info, "LMLSweep", {"cfg": 4.0, "column_values": "0, 1", "row_values": "3, 4"}))
    (sheet,), images = result.images["subject_0"], result.images["subject_1"]
    assert len(images) == 4 and sheet.width > 500 and sheet.height > 500
    steps = [(value, total) for node, value, total in result.progress if node == SUBJECT]
    assert steps[-1] == (14, 14) and all(total == 14 for _, total in steps)
    assert len(result.previews) == 4
    assert np.asarray(images[0]).std() > 10


def test_bad_lists_are_said_before_anything_runs(server: Client, info: Info) -> None:
    for bad, message in (
        ({"columns": "sampler", "column_values": "lml, euler2"}, "'euler2' is not one of ComfyUI's samplers"),
        ({"rows": "height"}, "rows is 'height'; choose one of none, "),
        ({"row_values": "0"}, "gives 0, which is not within 1 to 10000"),
    ):
        with pytest.raises(PromptError, match=message) as caught:
            server.run(around(info, "LMLSweep", bad))
        assert "exception_during_inner_validation" in str(caught.value)  # the one kind of which the toast has the text


@pytest.mark.every_host
def test_cancelling_ends_a_sweep(server: Client, info: Info) -> None:
    prompt = around(info, "LMLSweep", {"column_values": "0:1:20", "row_values": "10:100:10", "scheduler": "karras"})
    started = time.monotonic()
    with pytest.raises(PromptError, match="interrupted"):
        server.run(prompt, cancel=True)
    assert time.monotonic() - started < 20
