"""The axes of a chart: what they span, where values lie on them, and their round numbers."""

import math
from collections.abc import Sequence
from typing import NamedTuple

SMALLEST, LARGEST = 1e-200, 1e200
"""What a logarithmic axis shows: so that its ends, with the margin, are numbers too."""


class Axis(NamedTuple):
    """Maps values to pixels, linearly or by the logarithm."""

    low: float
    high: float
    start: float
    end: float
    log: bool

    def place(self, value: float) -> float:
        """The pixel of a value."""
        low, high, value = (math.log10(v) if self.log else v for v in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)

    def ticks(self, most: int = 8) -> list[float]:
        """Round values along the axis."""
        if self.log:
            return log_ticks(self.low, self.high, most)
        step = nice_step((self.high - self.low) / most)
        first = math.ceil(self.low / step - 1e-9)
        return [k * step for k in range(first, math.floor(self.high / step + 1e-9) + 1)]


def fit_axis(values: Sequence[float], start: float, end: float, log: bool, margin: float) -> Axis:
    """The axis that shows all values that can be shown, with a margin.

    Raises:
        ValueError: none can.
    """
    shown = [value for value in values if visible(value, log)]
    if not shown:
        raise ValueError(f"there is nothing to draw: none of {len(values)} values is finite{' and above 0' * log}")
    low, high = min(shown), max(shown)
    if not log:
        pad = (high - low) * margin or max(abs(low) * 0.1, 0.1)
        return Axis(low - pad, high + pad, start, end, False)
    low, high = math.log10(low), math.log10(high)
    pad = (high - low) * margin or 0.1
    return Axis(10 ** (low - pad), 10 ** (high + pad), start, end, True)


def visible(value: float, log: bool) -> bool:
    """Whether an axis can show a value."""
    return SMALLEST < value < LARGEST if log else math.isfinite(value)


def nice_step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= least * (1 - 1e-9))


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Powers of ten, with 2 and 5 times them where there is room; round numbers where the axis spans less."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    for factors in ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 5), (1,)):
        ticks = [f * 10.0**k for k in range(first, last + 1) for f in factors if low <= f * 10.0**k <= high]
        if 2 <= len(ticks) <= most:
            return ticks
    if len(ticks) > most:  # more decades than room
        return ticks[:: math.ceil(len(ticks) / most)]
    return Axis(low, high, 0, 1, False).ticks(most)


def short(value: float) -> str:
    """A number as a tick shows it."""
    return f"{value:.10g}" if value == 0 or 1e-3 <= abs(value) < 1e5 else f"{value:.3g}"
