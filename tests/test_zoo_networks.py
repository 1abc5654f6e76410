"""The zoo of trained networks: what a sampler sees of a network is exact, and training lowers the loss."""

from functools import partial
from pathlib import Path
from typing import Any

import problems as exact
import pytest
import torch
from torch import Tensor, nn
from zoo.data import examples
from zoo.denoiser import Problem, Spec, column
from zoo.distill import euler, leading, midpoint, shifted, twice
from zoo.nets import DiT, Mixer, UNet, fold, unfold
from zoo.problems import ZOO, fresh, load
from zoo.reference import solve
from zoo.train import denoising, levels, make, noisy

TARGETS = ("eps", "v", "x0", "flow")
WIDTH = 0.7
NETS = {
    "unet": partial(UNet, patch=2, widths=(8, 32)),
    "sound": partial(UNet, patch=4, widths=(8, 16, 32)),
    "dit": partial(DiT, patch=2, width=32, depth=1),
    "mixer": partial(Mixer, patch=2, width=32, depth=1),
}
SHAPES = {name: (1, 64) if name == "sound" else (3, 8, 8) for name in NETS}


def problem(target: str, network: str = "mixer", **fields: Any) -> Problem:
    torch.manual_seed(0)
    fields |= {"shift": 3.0} if target == "flow" else {"sigma_min": 0.02, "sigma_max": 20.0}
    made = Spec("choose", NETS[network], "digits", target, SHAPES[network], WIDTH, classes=4, batch=16, **fields)
    return Problem("small", made, made.network(made.shape, made.classes))


class GaussianNetwork(nn.Module):
    """The exact network for data N(mean, std^2), in the words of its target: it knows only its inputs.

    With y = x / sqrt(s^2 + d^2) on a VE path the state is x = sqrt(s^2 + d^2) y.
    """

    def __init__(self, problem: Problem, gaussian: exact.Gaussian) -> None:
        super().__init__()
        self.problem, self.gaussian = problem, gaussian

    def forward(self, y: Tensor, level: Tensor, label: Tensor) -> Tensor:
        of, target, d = self.problem, self.problem.spec.target, self.problem.sigma_data
        sigma = level if target == "flow" else of.sigma_min * (of.sigma_max / of.sigma_min) ** level
        s = column(sigma, y)
        norm = (s * s + d * d).sqrt()
        x = y if target == "flow" else norm * y
        x0 = self.gaussian.denoise(x, sigma)
        noise = (x - x0) / s if target != "flow" else (x - (1 - s) * x0) / s
        answers = {"eps": noise, "v": (d * noise - s * x0 / d) / norm, "x0": x0 / d, "flow": noise - x0}
        return answers[target]


def gaussian(target: str, sigma_data: float | None = None) -> tuple[Problem, exact.Gaussian]:
    made = problem(target, sigma_data=sigma_data)
    data = exact.Gaussian(0.4, WIDTH, made.parametrization)
    made.module = GaussianNetwork(made, data)
    return made, data


@pytest.mark.parametrize("sigma_data", [None, 1.3])
@pytest.mark.parametrize("target", TARGETS)
def test_what_a_network_predicts_becomes_the_denoised_sample(target: str, sigma_data: float | None) -> None:
    made, data = gaussian(target, sigma_data)
    sigma = torch.tensor([0.03, 0.4, 0.9 if target == "flow" else 19.0])
    x = sigma.view(-1, 1, 1, 1) + torch.randn(3, *made.shape)
    torch.testing.assert_close(made.denoise(x, sigma), data.denoise(x, sigma), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("target", TARGETS)
def test_the_converged_solution_of_a_gaussian_is_its_closed_form(target: str) -> None:
    made, data = gaussian(target)
    x = made.start(4).double()
    low = torch.tensor(made.sigma_min).double()
    end = data.solve(x, torch.tensor(made.sigma_max).double(), low)
    expected = data.denoise(end, low.expand(4))
    torch.testing.assert_close(solve(made, 1.0, made.start(4), 60), expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("network", NETS)
def test_every_kind_of_network_answers_each_sample_alone(network: str) -> None:
    made = problem("eps", network)
    for parameter in made.module.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, sigma, label = made.start(3), torch.tensor([20.0, 1.0, 0.1]), torch.tensor([0, 3, 4])
    together = made.denoise(x, sigma, label)
    alone = torch.cat([made.denoise(x[i : i + 1], sigma[i : i + 1], label[i : i + 1]) for i in range(3)])
    assert together.shape == x.shape
    torch.testing.assert_close(together, alone)
    torch.testing.assert_close(made.denoise(x, sigma)[2], together[2])
    assert (made.denoise(x, sigma, torch.tensor([1, 3, 4]))[0] - together[0]).abs().max() > 1e-4


@pytest.mark.parametrize(("shape", "patch"), [((2, 3, 8, 12), 4), ((2, 1, 32), 8)])
def test_patches_unfold_to_what_was_folded(shape: tuple[int, ...], patch: int) -> None:
    x = torch.randn(shape)
    folded = fold(x, patch)
    assert folded.shape[2:] == tuple(n // patch for n in shape[2:])
    corner = x[0].flatten(1) if len(shape) == 3 else x[0, :, :patch, :patch].flatten(1)
    corner = corner[:, : patch ** (len(shape) - 2)]
    assert sorted(folded[(0, slice(None), *[0] * (len(shape) - 2))].tolist()) == sorted(corner.flatten().tolist())
    assert torch.equal(unfold(folded, patch), x)


def test_guidance_leads_on_from_no_label_to_the_label() -> None:
    made = problem("v")
    for parameter in made.module.parameters():
        nn.init.normal_(parameter, std=0.1)
    x, labels = made.start(3), made.labels(3)
    labelled, none = made.denoise(x, 5.0, labels), made.denoise(x, 5.0)
    torch.testing.assert_close(made.guided(x, 5.0, 3.0, labels), none + 3 * (labelled - none))
    torch.testing.assert_close(made.guided(x, torch.full((3,), 5.0), 1.0, labels), labelled)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("network", ["unet", "dit", "mixer"])
def test_training_on_a_batch_lowers_its_loss(network: str, target: str) -> None:
    made = problem(target, network)
    optimizer = torch.optim.AdamW(made.module.parameters(), 3e-3)
    clean, label = WIDTH * torch.randn(8, *made.shape), torch.arange(8) % 4
    losses = []
    for _ in range(12):
        loss = denoising(made)(clean, label, torch.Generator().manual_seed(1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("target", TARGETS)
def test_training_sees_the_whole_range_of_levels(target: str) -> None:
    made = problem(target)
    drawn = levels(made, 20000, torch.Generator().manual_seed(0))
    assert drawn.min() >= (1e-3 if target == "flow" else 0.02 * 0.999)
    assert drawn.max() <= made.sigma_max * 1.001
    shares = torch.histc(made.level(drawn), 5, 0, 1) / len(drawn)
    assert shares.min() > 0.04
    x = noisy(made, torch.zeros(2, *made.shape), torch.tensor([0.5, 0.25]), torch.ones(2, *made.shape))
    torch.testing.assert_close(x.mean((1, 2, 3)), torch.tensor([0.5, 0.25]))


def test_weights_come_back_as_they_were_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LML_ZOO", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="make zoo"):
        load("digits_x0")
    torch.manual_seed(0)
    made = fresh("digits_x0")
    make(made, denoising(made), 2)
    trained = load("digits_x0")
    assert trained.facts["steps"] == "2"
    assert float(trained.facts["loss"]) > 0
    first = fresh("digits_x0").module.state_dict()
    assert first.keys() == trained.module.state_dict().keys()
    written = (tmp_path / "digits_x0.safetensors").stat().st_mtime_ns
    make(made, denoising(made), 2)
    assert (tmp_path / "digits_x0.safetensors").stat().st_mtime_ns == written


def test_teachers_of_exact_answers_lead_where_the_path_leads() -> None:
    made, data = gaussian("flow")
    share, end = torch.tensor([1.0, 0.6]), torch.tensor([0.9, 0.5])
    sigma, below = shifted(share, 3.0), shifted(end, 3.0)
    x, label = made.start(2), torch.tensor([0, 1])
    right = torch.stack([data.solve(x[i], sigma[i], below[i]) for i in range(2)])
    steps = (euler(made, 1.0), twice(euler(made, 1.0)), midpoint(made, 1.0))
    plain, halves, second = [(step(x, share, end, label) - right).abs().max() for step in steps]
    assert plain < 0.1
    assert halves < 0.6 * plain
    assert second < 0.1 * plain


class Constant(nn.Module):
    """Predicts one number everywhere."""

    def __init__(self, value: float) -> None:
        super().__init__()
        self.value = value

    def forward(self, x: Tensor, level: Tensor, label: Tensor) -> Tensor:
        return torch.full_like(x, self.value)


@pytest.mark.parametrize("steps", [4, 8])
def test_a_student_learns_the_mean_velocity_of_its_teacher(steps: int) -> None:
    made = problem("flow")

    def straight(x: Tensor, share: Tensor, end: Tensor, label: Tensor) -> Tensor:
        return x + 0.3 * column(shifted(end, 3.0) - shifted(share, 3.0), x)

    clean, label = WIDTH * torch.randn(16, *made.shape), torch.zeros(16, dtype=torch.long)
    for value, loss in ((0.3, 0.0), (0.5, 0.04)):
        made.module = Constant(value)
        measured = leading(made, twice(straight), steps)(clean, label, torch.Generator().manual_seed(0))
        assert measured.item() == pytest.approx(loss, abs=1e-5)


@pytest.mark.parametrize("name", ["digits", "tones"])
def test_data_are_of_unit_width_and_the_same_at_every_call(name: str) -> None:
    values, labels = examples(name)
    made = next(made for made in ZOO.values() if made.data == name)
    assert values.shape[1:] == made.shape
    assert values.float().pow(2).mean().sqrt().item() == pytest.approx(1, abs=1e-3)
    assert set(labels.tolist()) == set(range(made.classes))
    again, _ = examples(name)
    assert torch.equal(values, again)
