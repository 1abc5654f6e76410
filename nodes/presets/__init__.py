"""Settings by name: those of the pack and those of the user."""

from .files import warnings as warnings
from .node import LMLPreset as LMLPreset
from .node import LMLSavePreset as LMLSavePreset
