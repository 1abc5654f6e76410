"""What can go wrong, by what is to be done about it."""


class EvaluationError(Exception):
    """A person has to change something; the message is one sentence that names it."""


class Refused(Exception):
    """A unit that will fail each time: it is reported and never made again."""


class Lost(Exception):
    """The worker died or cannot be reached: the unit is made again, a few times."""


class Unreached(Lost):
    """The worker could not be reached, so that the unit was not even begun."""
