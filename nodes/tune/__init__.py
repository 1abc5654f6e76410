"""The search for the settings that come closest to the converged picture."""

from .node import LMLTune as LMLTune
