"""LML and another sampler side by side."""

from .node import LMLCompare as LMLCompare
