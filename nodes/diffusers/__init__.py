"""Unconditional models in the folders of diffusers."""

from .node import LMLLoadDiffusersModel as LMLLoadDiffusersModel
