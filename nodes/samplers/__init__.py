"""The nodes that sample, and those that make a SAMPLER or SIGMAS."""

from .kappa_curve import LMLKappaCurve as LMLKappaCurve
from .ksampler import LMLKSampler as LMLKSampler
from .ksampler import LMLKSamplerAdvanced as LMLKSamplerAdvanced
from .sampler import LMLSampler as LMLSampler
from .scheduler import LMLScheduler as LMLScheduler
from .wrap import LMLWrapSampler as LMLWrapSampler
