"""A tiny model that ships with the pack."""

from .node import ANY as ANY
from .node import LMLDemoModel as LMLDemoModel
