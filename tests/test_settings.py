"""Settings: what is wrong is named, in words that help, before the first model call."""

from typing import Any

import pytest
import torch
from core_runs import never_called, run
from problems import noise


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": -1.0}, r"damping \(λ\) is -1.0; it must be a finite number from 0 up"),
        ({"damping": float("inf")}, r"damping \(λ\) is inf"),
        ({"kappa": 1.01}, r"kappa \(κ\) is 1.01; it must be within \[0, 1\]"),
        ({"order": 4, "scheme": "dpmsolver"}, "order is 4; it must be 1, 2 or 3"),
        ({"order": 2}, "order is 2, but the scheme auto is of order 1. Set order to 1, or scheme to"),
        ({"order": 2, "scheme": "ddim"}, "order is 2, but the scheme ddim is of order 1. Set order to 1, or scheme to"),
        ({"damping_mode": "relative"}, "damping_mode is 'relative', but the scheme auto has a damping of its own"),
        ({"damping_mode": "absolute"}, "damping_mode is 'absolute', but the scheme auto has a damping of its own"),
        ({"target": "increment"}, "target is 'increment' and arithmetic 'exact', but the scheme auto corrects the"),
        ({"scheme": "euler"}, "scheme is 'euler'; choose one of auto, ddim, dpmsolver, dpmsolver"),
        ({"solver_type": "rk"}, "solver_type is 'rk'; choose one of midpoint, heun"),
        ({"target": "noise"}, "target is 'noise'; choose one of score, velocity, increment, direction"),
        ({"damping_mode": "auto"}, "damping_mode is 'auto'; choose one of adaptive, relative, absolute"),
        ({"arithmetic": "float16"}, "arithmetic is 'float16'; choose one of exact, released_float32"),
        (
            {"arithmetic": "released_float32", "scheme": "ddim"},
            "damping_mode is 'adaptive', but the released arithmetic knows absolute",
        ),
        ({"start_percent": 0.6, "end_percent": 0.5}, "start_percent is 0.6 and end_percent 0.5"),
        ({"end_percent": 1.5}, "end_percent 1.5"),
        ({"eta": 2.0}, r"eta is 2.0; it must be within \[0, 1\]"),
        ({"s_noise": -1.0}, "s_noise is -1.0"),
        ({"target": "velocity", "scheme": "ddim"}, "target is 'velocity', but this is not a flow model"),
        ({"parametrization": "vp"}, "parametrization is 'vp'; choose one of ve"),
        ({"sigmas": [1.0, 0.0, 2.0]}, r"sigmas\[2\] is 2.0 after 0; no noise is known that leads up"),
        (
            {"sigmas": [1.0, float("nan"), 0.0]},
            r"sigmas\[1\] is nan.* Choose another scheduler or more steps, or correct",
        ),
        ({"sigmas": [1.0, -0.5]}, r"sigmas\[1\] is -0.5"),
        ({"sigma_min": -0.1}, r"sigma_min is -0.1; it must be from 0 to below inf"),
        ({"sigma_min": float("nan")}, r"sigma_min is nan; it must be from 0 to below inf"),
        ({"sigma_min": float("inf")}, r"sigma_min is inf; it must be from 0 to below inf"),
        ({"sigma_min": 1.0, "parametrization": "flow"}, r"sigma_min is 1; it must be from 0 to below 1"),
        ({"parts": [4, 3]}, r"parts is \[4, 3\]; they must be 1 or more each and 8 in all"),
        ({"parts": [9, -1]}, r"parts is \[9, -1\]; they must be 1 or more each"),
        ({"eta": 1.0}, 'the settings add noise, but there is no seed: pass extra_args\\["seed"\\]'),
        ({"eta": 1.0, "renoise": True}, "eta is 1.0 and renoise is on"),
        ({"target": "direction", "scheme": "dpmsolver"}, "target is 'direction', which only the scheme ddim has"),
        ({"x": torch.ones(8)}, r"x has shape \(8,\); it needs a batch axis"),
    ],
)
def test_bad_input_is_named_before_the_first_model_call(options: dict[str, Any], message: str) -> None:
    options = {"x": noise(2, 8)} | options
    sigmas = torch.tensor(options.pop("sigmas", [2.0, 1.0, 0.0]))
    with pytest.raises(ValueError, match=message):
        run(never_called, sigmas=sigmas, **options)
