"""What goes into the pages of `docs/`: tables as Markdown, the parts that a command writes, small pictures."""

import re
from collections.abc import Sequence
from pathlib import Path


def markdown(rows: Sequence[Sequence[str]]) -> str:
    """The first row is the head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|" + " --- |" * len(rows[0]), *body])


def renew(page: Path, name: str, text: str) -> None:
    """Put a text between `<!-- name -->` and `<!-- end name -->`."""
    part = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=\n<!-- end {name} -->)", re.DOTALL)
    page.write_text(part.sub(lambda _: text, page.read_text("utf-8")), "utf-8")


def shrink(picture: Path, colors: int) -> None:
    """Make a picture that goes into the repository smaller: fewer colors."""
    from PIL import Image  # here, because `host_matrix` runs on a bare Python

    Image.open(picture).convert("RGB").quantize(colors).save(picture, optimize=True)
