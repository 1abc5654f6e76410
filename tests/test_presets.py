"""The published settings."""

import pytest
import torch
from problems import mixture

from lml_sampler import LMLSettings, sample_lml
from lml_sampler.presets import paper


def test_paper_figures() -> None:
    assert [paper("sd", steps).damping for steps in (5, 10, 15)] == [1e-3] * 3
    assert [paper("sd2", steps).damping for steps in (10, 15)] == [1e-3, 8e-4]
    assert paper("flux", 28).damping == 1e-2 and paper("flux", 28).target == "velocity"
    assert paper("sd", 14).lower_order_final and not paper("sd", 15).lower_order_final
    assert paper("sd", 10).damping_mode == "absolute" and paper("sd", 10).order == 3


@pytest.mark.parametrize(("family", "parametrization"), [("sd", "ve"), ("sd2", "ve"), ("flux", "flow")])
def test_paper_runs_and_corrects_a_little(family: str, parametrization: str) -> None:
    problem = mixture(parametrization)
    sigmas = torch.linspace(0.95, 0, 9, dtype=torch.float64)
    x = torch.randn(4, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def run(settings: LMLSettings) -> torch.Tensor:
        return sample_lml(problem.denoise, x, sigmas, disable=True, settings=settings, parametrization=parametrization)

    settings = paper(family, 8)
    plain = LMLSettings(
        scheme=settings.scheme, order=settings.order, lower_order_final=settings.lower_order_final, kappa=0.0
    )
    difference = (run(settings) - run(plain)).norm() / run(plain).norm()
    assert 1e-6 < difference < 0.1


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match="family is 'sdxl'; choose one of sd, sd2, flux"):
        paper("sdxl", 8)
    with pytest.raises(ValueError, match="steps is 0"):
        paper("sd", 0)
