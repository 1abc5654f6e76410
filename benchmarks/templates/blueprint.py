"""A sub-graph that ComfyUI offers as one node: the nodes of a workflow inside, the widgets that matter outside."""

import uuid
from typing import Any

from . import parts
from .canvas import PACK_VERSION, Canvas, Info, Output
from .images import FOX, POOR, SD_XL

NAME = "LML Text to Image"
DESCRIPTION = "Makes a picture from text with LML: a checkpoint, two prompts, a size, and LML KSampler."
BEFORE, AFTER = -10, -20
"""What ComfyUI's page calls the two ends inside a sub-graph."""

Widgets = list[tuple[int, str, str]]
"""Id of a node, widget and label of what is shown outside."""


def blueprint(info: Info) -> dict[str, Any]:
    """What the file of the sub-graph holds."""
    canvas = Canvas(info)
    widgets, picture = _text_to_image(canvas)
    ports = _connected(canvas, widgets)
    graph = _definition(canvas, ports, picture)
    node = {
        **{"id": len(canvas.nodes) + 1, "type": graph["id"], "title": NAME, "pos": [0, 0], "size": [400, 560]},
        **{"flags": {}, "order": 0, "mode": 0, "widgets_values": []},
        "inputs": [port | {"widget": {"name": port["name"]}, "link": None} for port in ports],
        "outputs": [{"name": picture.kind, "type": picture.kind, "links": []}],
        "properties": {
            "proxyWidgets": [[str(node), name] for node, name, _ in widgets],
            "cnr_id": "lml-sampler",
            "ver": PACK_VERSION,
        },
    }
    counts = {"revision": 0, "last_node_id": node["id"], "last_link_id": 0, "version": 0.4}
    return counts | {"nodes": [node], "links": [], "definitions": {"subgraphs": [graph]}, "extra": {}}


def _text_to_image(canvas: Canvas) -> tuple[Widgets, Output]:
    model, clip, vae = parts.checkpoint(canvas, SD_XL)
    positive, negative = parts.prompt(canvas, clip, FOX), parts.negative(canvas, clip, POOR)
    (latent,) = canvas.add("prompts", "EmptyLatentImage", width=1024, height=1024)
    result = parts.sampled(canvas, model, latent, (positive, negative), steps=20, cfg=7.0)
    widgets = [(model.node, "ckpt_name", "checkpoint")]
    widgets += [(positive.node, "text", "prompt"), (negative.node, "text", "negative prompt")]
    widgets += [(latent.node, name, name) for name in ("width", "height")]
    widgets += [(result.node, name, name) for name in ("seed", "steps", "cfg")]
    widgets += [(result.node, "damping", "λ"), (result.node, "kappa", "κ")]
    return widgets, parts.decoded(canvas, result, vae)


def _connected(canvas: Canvas, widgets: Widgets) -> list[dict[str, Any]]:
    """Link each widget to an input of the sub-graph, and give these inputs."""
    names: list[str] = []
    ports = []
    for slot, (node, widget, label) in enumerate(widgets):
        names.append(widget if widget not in names else f"{widget}_{slot}")
        inside = canvas.nodes[node - 1]["inputs"]
        place = next(k for k, port in enumerate(inside) if port["name"] == widget)
        inside[place]["link"] = len(canvas.links) + 1
        canvas.links.append([inside[place]["link"], BEFORE, slot, node, place, inside[place]["type"]])
        ports.append({"name": names[-1], "type": inside[place]["type"], "label": label})
    return ports


def _definition(canvas: Canvas, ports: list[dict[str, Any]], picture: Output) -> dict[str, Any]:
    links = [port | {"linkIds": [link[0]]} for port, link in zip(ports, canvas.links[-len(ports) :], strict=True)]
    last = len(canvas.links) + 1
    canvas.links.append([last, picture.node, picture.slot, AFTER, 0, picture.kind])
    keys = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
    return {
        "id": _id("graph"),
        "name": NAME,
        "version": 1,
        "revision": 0,
        "category": "LML",
        "description": DESCRIPTION,
        "state": {"lastGroupId": 0, "lastNodeId": len(canvas.nodes), "lastLinkId": last, "lastRerouteId": 0},
        "inputNode": {"id": BEFORE, "bounding": [-200, 60, 160, 20 * len(ports) + 40]},
        "outputNode": {"id": AFTER, "bounding": [1640, 60, 120, 60]},
        "inputs": [port | {"id": _id(port["name"])} for port in links],
        "outputs": [{"id": _id("picture"), "name": picture.kind, "type": picture.kind, "linkIds": [last]}],
        "nodes": canvas.workflow(NAME)["nodes"],
        "links": [dict(zip(keys, link, strict=True)) for link in canvas.links],
        **{"config": {}, "widgets": [], "groups": [], "extra": {}},
    }


def _id(part: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"lml-sampler/{NAME}/{part}"))
