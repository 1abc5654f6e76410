"""Hashes of what goes into a run: of the content, whatever is loaded."""

import copy
from types import ModuleType

import pytest
import torch
from demo_runs import demo_inputs, lml

pytestmark = pytest.mark.every_host


def test_the_fingerprint_is_of_the_content(pack: ModuleType) -> None:
    fingerprint, demo_model = pack.nodes.host.fingerprint, pack.nodes.demo.model
    model = demo_model.load("eps")
    first = fingerprint.of_model(model)
    assert first == fingerprint.of_model(demo_model.load("eps")) == fingerprint.of_model(model.clone())
    assert first != fingerprint.of_model(demo_model.load("flow"))
    changed = demo_model.load("eps")
    next(changed.model.diffusion_model.parameters()).data.mul_(1.001)
    assert first != fingerprint.of_model(changed)
    key = "diffusion_model.input_blocks.0.0.weight"
    patched = [model.clone() for _ in range(3)]
    for clone, (strength, value) in zip(patched, ((1.0, 0.0), (1.0, 0.1), (0.5, 0.1)), strict=True):
        weight = torch.full_like(model.model.state_dict()[key], value)
        assert clone.add_patches({key: (weight,)}, strength)
    assert len({first, *(fingerprint.of_model(clone) for clone in patched)}) == 4
    sampling = copy.deepcopy(model.get_model_object("model_sampling"))
    sampling.set_sigmas(sampling.sigmas * 1.01)
    shifted = model.clone()
    shifted.add_object_patch("model_sampling", sampling)
    assert fingerprint.of_model(shifted) != first


def test_the_fingerprint_does_not_depend_on_loading(pack: ModuleType) -> None:
    """While a LoRA is loaded, its weights are in the model's."""
    fingerprint = pack.nodes.host.fingerprint
    linked = demo_inputs(pack)
    key = "diffusion_model.input_blocks.0.0.weight"
    patched = linked["model"].clone()
    patched.add_patches({key: (torch.full_like(patched.model.state_dict()[key], 0.1),)}, 1.0)
    before = fingerprint.of_model(patched), fingerprint.of_model(linked["model"])
    lml(pack, linked | {"model": patched}, steps=1)
    assert (fingerprint.of_model(patched), fingerprint.of_model(linked["model"])) == before


def test_code_has_no_fingerprint(pack: ModuleType) -> None:
    fingerprint = pack.nodes.host.fingerprint
    model = pack.nodes.demo.model.load("eps")
    model.set_model_unet_function_wrapper(lambda *_: None)
    with pytest.raises(fingerprint.NoFingerprint, match="it holds a function"):
        fingerprint.of_model(model)
    values = [torch.ones(2), {"a": 1}], [torch.ones(2), {"a": 1.5}], [torch.zeros(2), {"a": 1}], [torch.ones(1, 2), {}]
    assert len({fingerprint.of(value) for value in values}) == 4
