"""A grid of pictures over two parameters."""

from .node import LMLSweep as LMLSweep
