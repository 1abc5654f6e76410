"""The Levenberg-Marquardt-Langevin sampler in plain torch (arXiv 2505.24222).

Usage:
    from lml_sampler import LMLSettings, sample_lml

    image = sample_lml(denoiser, noise * sigmas[0], sigmas, settings=LMLSettings(kappa=0.5))
"""

from .correction import correct
from .diagnostics import Recorder
from .sampler import sample_lml
from .settings import LMLSettings
from .wrapper import wrap_sampler

__all__ = ["LMLSettings", "Recorder", "correct", "sample_lml", "wrap_sampler"]
