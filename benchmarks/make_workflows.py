"""Bring the workflow files and the sub-graph up to the nodes as they are now: `make workflows`.

Run it after a change of the nodes' inputs, for a new version, and for a file that was saved on ComfyUI's page.
"""

import json
from pathlib import Path
from typing import Any

from comfy_host.install import ROOT
from comfy_host.prompts import WIDGETS, Info, default, inputs_of
from comfy_host.server import PACK, definitions
from node_definitions import version

SAVED_WIDGETS = (*WIDGETS, "FLOAT,INT", "COMFY_DYNAMICCOMBO_V3")
"""Types of inputs of which the page saves a value."""

Workflow = dict[str, Any]


def files() -> list[Path]:
    """The workflow files and the sub-graphs."""
    return [path for folder in ("workflows", "subgraphs") for path in sorted((ROOT / folder).glob("*.json"))]


def renew(workflow: Workflow, info: Info) -> None:
    """Give the pack's own nodes their version, and the inputs that they have got since the file was saved."""
    current = version()
    for graph in (workflow, *workflow.get("definitions", {}).get("subgraphs", ())):
        for node in graph["nodes"]:
            ours = node["type"].startswith("LML")
            if ours or node["properties"].get("cnr_id") == PACK:
                node["properties"] |= {"cnr_id": PACK, "ver": current}
            if ours:
                _add_inputs(node, info)


def _add_inputs(node: dict[str, Any], info: Info) -> None:
    known = {port["name"] for port in node["inputs"]}
    for name, (kind, options, optional) in inputs_of(info, node["type"]).items():
        if name in known:
            continue
        label = {"label": options["display_name"]} if options.get("display_name") else {}
        port = label | {"name": name, "type": kind, "link": None} | ({"shape": 7} if optional else {})
        if kind in SAVED_WIDGETS:
            port["widget"] = {"name": name}
            node["widgets_values"].append(default(options))
        node["inputs"].append(port)


def main() -> None:
    info = definitions()
    for path in files():
        workflow = json.loads(path.read_text("utf-8"))
        renew(workflow, info)
        path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
