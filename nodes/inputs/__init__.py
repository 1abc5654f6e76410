"""The inputs that the sampler nodes share, and what becomes of their values."""

from . import choice as choice
from .job import Job as Job
from .widgets import CATEGORY as CATEGORY
from .widgets import MAX_CFG as MAX_CFG
from .widgets import MAX_DAMPING as MAX_DAMPING
from .widgets import MAX_STEPS as MAX_STEPS
from .widgets import SAMPLER_ALIASES as SAMPLER_ALIASES
from .widgets import SEARCH_ALIASES as SEARCH_ALIASES
from .widgets import Settings as Settings
from .widgets import batch_size as batch_size
from .widgets import correction_inputs as correction_inputs
from .widgets import denoise as denoise
from .widgets import job_inputs as job_inputs
from .widgets import model as model
from .widgets import run_inputs as run_inputs
from .widgets import sampler_output as sampler_output
from .widgets import seed as seed
from .widgets import settings_input as settings_input
from .widgets import settings_output as settings_output
from .widgets import share as share
from .widgets import steps as steps
from .widgets import vae as vae
from .widgets import window_inputs as window_inputs
