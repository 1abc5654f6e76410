"""A node for the tests: a model that fails at the step it is told, in the way it is told."""

import nodes
import torch


def raise_error(output):
    raise RuntimeError("the model broke")


def out_of_memory(output):
    return torch.empty(2**60)


def out_of_device_memory(output):
    raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


def cancel(output):
    nodes.interrupt_processing()
    return output


FAULTS = {
    "nan": lambda output: torch.where(torch.arange(output.numel()).view_as(output) == 7, float("nan"), output),
    "inf": lambda output: torch.full_like(output, float("inf")),
    "raise": raise_error,
    "out of memory": out_of_memory,
    "out of device memory": out_of_device_memory,
    "cancel": cancel,
    "one picture of the batch": lambda output: output[:1],
    "one channel": lambda output: output[:, :1],
    "half the size": lambda output: output[..., ::2],
    "one rank less": lambda output: output.flatten(-2),
    "float64": lambda output: output.double(),
    "float16": lambda output: output.half(),
    "no tensor": lambda output: None,
}


class TestFaultyModel:
    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "model": ("MODEL",),
                "fault": (list(FAULTS),),
                "step": ("INT", {"default": 1, "min": 1}),
                "where": (["model", "guidance"],),
            }
        }

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "testing"

    def patch(self, model, fault, step, where):
        """At `step`, counted from 1, change what the network gives, or what comes out of the guidance."""
        patched, seen = model.clone(), []

        def changed(sigma, output):
            if not seen or float(sigma) != seen[-1]:  # the two halves of the guidance may come in two calls
                seen.append(float(sigma))
            return FAULTS[fault](output) if len(seen) == step else output

        def network(apply_model, arguments):
            output = apply_model(arguments["input"], arguments["timestep"], **arguments["c"])
            return changed(arguments["timestep"].flatten()[0], output)

        if where == "model":
            patched.set_model_unet_function_wrapper(network)
        else:
            patched.set_model_sampler_post_cfg_function(
                lambda arguments: changed(arguments["sigma"].flatten()[0], arguments["denoised"])
            )
        return (patched,)


NODE_CLASS_MAPPINGS = {"TestFaultyModel": TestFaultyModel}
