"""The nodes with the real ComfyUI in this process: its batches, masks, guidance and control nets."""

import re
from functools import partial
from operator import attrgetter
from types import ModuleType
from typing import Any

import demo_runs
import pytest
import torch
from core_runs import rms
from demo_runs import QUICK, Linked, custom, demo_inputs, latent, never_called, tiny_inputs
from torch import Tensor

pytestmark = pytest.mark.every_host
lml, built_in = partial(demo_runs.lml, **QUICK), partial(demo_runs.built_in, **QUICK)
ONE = latent(torch.zeros(1, 3, 32, 32))


def test_image_to_image_stays_near_the_image(pack: ModuleType, demo: Linked) -> None:
    picture = lml(pack, demo | ONE)
    distance = {
        denoise: rms(lml(pack, demo | latent(picture), seed=5, denoise=denoise) - picture)
        for denoise in (0.0, 0.1, 1.0)
    }
    assert distance[0.0] == 0 and 0 < distance[0.1] < 0.7 * distance[1.0]


def test_a_control_net_steers(pack: ModuleType) -> None:
    """A real ControlNet of ComfyUI, with random weights, on a small UNet that takes its residuals."""
    import comfy.cldm.cldm
    import comfy.controlnet
    import comfy.ops
    import nodes

    demo_model = pack.nodes.demo.model
    demo = demo_inputs(pack)

    class PixelControlNet(comfy.cldm.cldm.ControlNet):
        def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
            return super().forward(torch.nn.functional.pixel_unshuffle(x, 4), *args, **kwargs)

    config = {key: value for key, value in demo_model.UNET.items() if key not in ("out_channels", "legacy")}
    del config["transformer_depth_output"]
    config |= {"hint_channels": 3, "legacy": False, "operations": comfy.ops.disable_weight_init}
    network = PixelControlNet(**config)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.05, generator=generator)
    control = comfy.controlnet.ControlNet(network, compression_ratio=2, load_device=demo["model"].load_device)
    hint = torch.rand(1, 128, 128, 3, generator=generator)
    (steered,) = nodes.ControlNetApply().apply_controlnet(demo["positive"], control, hint, 0.3)
    result = lml(pack, demo | {"positive": steered})
    assert result.isfinite().all()
    assert not torch.allclose(result, lml(pack, demo), atol=1e-2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": -1.0}, r"damping \(λ\) is -1.0; it must be from 0 to 100"),
        ({"damping": 101.0}, r"damping \(λ\) is 101.0"),
        ({"damping": float("nan")}, r"damping \(λ\) is nan"),
        ({"kappa": 2.0}, r"kappa \(κ\) is 2.0; it must be from 0 to 1"),
        ({"steps": 0}, "steps is 0; it must be 1 or more"),
        ({"cfg": float("nan")}, "cfg is nan; it must be a number"),
        ({"denoise": float("nan")}, "denoise is nan; it must be a number"),
    ],
)
def test_bad_input_is_named_before_the_model_is_called(
    pack: ModuleType, demo: Linked, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        lml(pack, never_called(demo), **options)


def test_an_empty_latent_is_sampled_as_ksampler_does(pack: ModuleType) -> None:
    linked = tiny_inputs(batch=0)
    assert lml(pack, linked).shape == built_in(linked, "euler").shape == (0, 3, 8, 8)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 3, 0, 8)])
@pytest.mark.parametrize("node", ["compare.LMLCompare", "sweep.LMLSweep", "tune.LMLTune", "report.LMLReport"])
def test_of_an_empty_latent_there_is_nothing_to_show(pack: ModuleType, node: str, shape: tuple[int, ...]) -> None:
    linked = never_called(tiny_inputs()) | latent(torch.zeros(shape))
    with pytest.raises(ValueError, match=rf"latent_image has shape {re.escape(str([*shape]))}.*a batch of 1 or more"):
        demo_runs.run(attrgetter(node)(pack.nodes), linked)


def test_what_the_model_answers_without_guidance_is_heard(pack: ModuleType, demo: Linked) -> None:
    """It is what the model answers at CFG 1, where there is nothing to hear; the caller's options stay as they are."""
    import comfy.samplers

    host = pack.nodes.host
    sigmas = host.schedule(demo["model"], "lml", 4)

    def listen(cfg: float) -> tuple[Tensor, Tensor | None, Tensor | None]:
        heard: list[Any] = []

        def sampler(model: Any, x: Tensor, sigmas: Tensor, extra_args: dict[str, Any], **_: Any) -> Tensor:
            before = {**extra_args["model_options"]}
            conditional = host.Conditional(extra_args)
            answer = model(x, sigmas[0] * x.new_ones(len(x)), **conditional.extra_args)
            heard.extend((answer, conditional.take(), conditional.take()))
            assert extra_args["model_options"] == before
            return answer

        custom(demo, comfy.samplers.KSAMPLER(sampler), sigmas, cfg=cfg)
        return heard[0], heard[1], heard[2]

    unguided, *nothing = listen(1.0)
    guided, part, again = listen(4.0)
    assert nothing == [None, None]
    assert part is not None and again is None
    torch.testing.assert_close(part, unguided, rtol=0, atol=1e-4)  # a batch twice as large rounds differently
    assert (guided - part).norm() > 0.01 * part.norm()
