"""Write the workflow files of today's models and the sub-graph from the nodes as they are now: `make workflows`.

Run it again after a change of the nodes' inputs. The other files in `workflows/` are made by hand on ComfyUI's page.
"""

import json
from typing import Any

from comfy_host.install import ROOT
from comfy_host.server import definitions
from templates import blueprint
from templates.canvas import Canvas, Info
from templates.catalogue import SEED, TEMPLATES


def workflow(info: Info, name: str) -> dict[str, Any]:
    """What the file of that name holds.

    Raises:
        KeyError: there is no such template, or the host misses one of its nodes.
    """
    template = TEMPLATES[name]
    bare = Canvas(info)
    template.build(bare)
    hints = [f"- {hint}" for hint in (*template.hints, SEED)]
    files = [f"- **{folder}/{file}**" for folder, file in bare.files()]
    canvas = Canvas(info)
    canvas.note(
        "\n".join([f"**{template.shows}**", "", *hints, "", "Files, in ComfyUI's folder **models**:", "", *files])
    )
    template.build(canvas)
    return canvas.workflow(name)


def main() -> None:
    """Start ComfyUI, ask it for its nodes, write the files."""
    info = definitions()
    for name in TEMPLATES:
        _write(f"workflows/{name}.json", workflow(info, name))
    _write(f"subgraphs/{blueprint.NAME}.json", blueprint.blueprint(info))


def _write(path: str, content: dict[str, Any]) -> None:
    (ROOT / path).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", "utf-8")
    print(path)


if __name__ == "__main__":
    main()
