"""Write the workflow files of today's models from the nodes as they are now: `make workflows`.

Run it again after a change of the nodes' inputs. The other files in `workflows/` are made by hand on ComfyUI's page.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from comfy_host.install import ROOT
from comfy_host.server import comfyui
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
    lines = [f"**{template.shows}**", "", *(f"- {hint}" for hint in (*template.hints, SEED)), "", "Files:", ""]
    canvas = Canvas(info)
    canvas.note("\n".join([*lines, *(f"- `{folder}/{file}`" for folder, file in bare.files())]))
    template.build(canvas)
    return canvas.workflow(name)


def main() -> None:
    """Start ComfyUI, ask it for its nodes, write the files."""
    with tempfile.TemporaryDirectory() as folder, comfyui(Path(folder)) as client:
        info = client.object_info()
    for name in TEMPLATES:
        text = json.dumps(workflow(info, name), indent=1, ensure_ascii=False)
        (ROOT / "workflows" / f"{name}.json").write_text(text + "\n", "utf-8")
        print(f"workflows/{name}.json")


if __name__ == "__main__":
    main()
