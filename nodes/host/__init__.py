"""The only package that knows ComfyUI's internals: its samplers, its schedules, its model classes."""

from . import diffusers as diffusers
from . import families as families
from . import files as files
from . import fingerprint as fingerprint
from . import pixels as pixels
from . import running as running
from .calls import calls_a_step as calls_a_step
from .conditional import Conditional as Conditional
from .registry import add_to_sampler_list as add_to_sampler_list
from .registry import add_to_scheduler_list as add_to_scheduler_list
from .registry import built_in_sampler as built_in_sampler
from .registry import folder_of_node as folder_of_node
from .registry import preferred_scheduler as preferred_scheduler
from .registry import sampler_names as sampler_names
from .registry import scheduler_names as scheduler_names
from .samplers import recorded as recorded
from .samplers import sample_lml as sample_lml
from .samplers import sampler as sampler
from .samplers import wrapped_sampler as wrapped_sampler
from .sampling import sample as sample
from .sampling import sample_guided as sample_guided
from .scheduling import LML as LML
from .scheduling import discrete_sigmas as discrete_sigmas
from .scheduling import own_schedule as own_schedule
from .scheduling import schedule as schedule
