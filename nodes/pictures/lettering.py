"""Text in pictures, in Pillow's own scalable font: nothing to install, readable at any size."""

import unicodedata
from typing import Any

from PIL import ImageFont

NAMES = {
    "°": " degrees",
    "λ": "lambda",
    "κ": "kappa",
    "σ": "sigma",
    "×": "x",
    "−": "-",
    "–": "-",
    "—": "-",
    "’": "'",
    "²": "^2",
}
"""How letters that the font lacks are written."""

SMALLEST = 8


def load_font(size: float) -> Any:
    """Pillow's own font, `size` pixels high."""
    return ImageFont.load_default(max(size, SMALLEST))


def printable(text: str) -> str:
    """The text in letters that the font has: it has no Greek, no accents and no other scripts."""
    plain = "".join(NAMES.get(letter, letter) for letter in text)
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    return "".join(letter if letter == "\n" or " " <= letter <= "~" else "?" for letter in plain)


def wrap(text: str, font: Any, width: float) -> list[str]:
    """Lines of at most `width` pixels; words that are longer are cut."""
    lines: list[str] = []
    for paragraph in printable(text).splitlines():
        line = ""
        for word in paragraph.split():
            while font.getlength(word) > width and len(word) > 1:
                fits = next((n for n in range(len(word) - 1, 1, -1) if font.getlength(word[:n]) <= width), 1)
                lines += [line, word[:fits]] if line else [word[:fits]]
                line, word = "", word[fits:]
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) <= width:
                line = longer
            else:
                lines.append(line)
                line = word
        lines.append(line)
    return lines
