"""A workflow in the form that ComfyUI's page saves, built node by node from the definitions of a running ComfyUI."""

import uuid
from typing import Any, NamedTuple

from comfy_host.install import main_place
from comfy_host.prompts import default, inputs_of
from node_definitions import version

Info = dict[str, Any]
Entry = tuple[str, dict[str, Any], bool]
"""Type of an input, its options, whether it is optional."""
WIDGETS = ("INT", "FLOAT", "FLOAT,INT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
COLUMNS = {"files": 40, "prompts": 440, "sampling": 900, "result": 1260}
"""Left edges."""
TOP, GAP = 60, 50
WIDTHS = {"files": 340, "prompts": 400, "sampling": 300, "result": 300}
HEADER, ROW, WIDGET = 50, 24, 30
TALL = {"CLIPTextEncode": 170, "SaveImage": 420, "SaveVideo": 300, "LoadImage": 400}
CORE_VERSION, PACK_VERSION = main_place().version, version()


def name_of(url: str) -> str:
    """The file at an address."""
    return url.rsplit("/", 1)[-1]


class Output(NamedTuple):
    """What a link starts from."""

    node: int
    slot: int
    kind: str


class Canvas:
    """Nodes in four columns, each below the one before.

    Args:
        info: the definitions of all nodes, as `/object_info` gives them.
    """

    def __init__(self, info: Info) -> None:
        self.info = info
        self.nodes: list[dict[str, Any]] = []
        self.links: list[list[Any]] = []
        self._bottom = dict.fromkeys(COLUMNS, TOP)

    def note(self, text: str) -> None:
        """A note at the top of the first column."""
        height = 70 + 19 * sum(1 + len(line) // 44 for line in text.splitlines())
        node = self._place("files", "MarkdownNote", height)
        node |= {"inputs": [], "outputs": [], "title": "Read me", "properties": {}, "widgets_values": [text]}
        self.nodes.append(node | {"color": "#432", "bgcolor": "#653"})

    def add(self, column: str, kind: str, title: str | None = None, **inputs: Any) -> list[Output]:
        """Add a node, and give its outputs.

        Args:
            column: of `COLUMNS`.
            kind: type of the node.
            title: in place of its name.
            inputs: outputs of other nodes for sockets, values for widgets; the other widgets have their defaults.

        Raises:
            KeyError: the host has no such node.
            TypeError: the node has no such input.
        """
        shown = _shown(self.info, kind, inputs)
        sockets = [(name, entry) for name, entry in shown if entry[0] not in WIDGETS]
        widgets = [(name, entry) for name, entry in shown if entry[0] in WIDGETS]
        unknown = inputs.keys() - dict(shown).keys()
        if unknown:
            raise TypeError(f"{kind} has no input {', '.join(sorted(unknown))}")
        values = [value for name, entry in widgets for value in _saved(entry, inputs.get(name))]
        outputs = self.info[kind]["output"]
        ports = max(len(sockets), len(outputs))
        node = self._place(column, kind, TALL.get(kind, HEADER + ROW * ports + WIDGET * len(values)))
        node["inputs"] = [self._socket(node["id"], k, name, entry, inputs) for k, (name, entry) in enumerate(sockets)]
        node["inputs"] += [_widget_port(name, entry) for name, entry in widgets]
        names = zip(self.info[kind].get("output_name") or outputs, outputs, strict=True)
        node["outputs"] = [{"name": name, "type": output, "links": None} for name, output in names]
        node |= {"properties": _properties(kind), "widgets_values": values} | ({"title": title} if title else {})
        self.nodes.append(node)
        return [Output(node["id"], slot, kind) for slot, kind in enumerate(outputs)]

    def model(self, kind: str, files: dict[str, str], **inputs: Any) -> list[Output]:
        """Add a loader of files that the page offers to download: folders of models by address."""
        outputs = self.add("files", kind, **inputs)
        models = [{"name": name_of(url), "url": url, "directory": folder} for url, folder in files.items()]
        self.nodes[-1]["properties"]["models"] = models
        return outputs

    def files(self) -> list[tuple[str, str]]:
        """(folder, name) of every file that its nodes load."""
        models = [model for node in self.nodes for model in node["properties"].get("models", ())]
        return list(dict.fromkeys((model["directory"], model["name"]) for model in models))

    def workflow(self, name: str) -> dict[str, Any]:
        """What a file of that name holds."""
        sources = {node["id"]: node for node in self.nodes}
        for key, source, slot, *_ in self.links:
            if source in sources:  # not the end of a sub-graph
                output = sources[source]["outputs"][slot]
                output["links"] = [*(output["links"] or []), key]
        return {
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"lml-sampler/{name}")),
            "revision": 0,
            "last_node_id": max(sources),
            "last_link_id": len(self.links),
            "nodes": self.nodes,
            "links": self.links,
            "groups": [],
            "config": {},
            "extra": {"ds": {"scale": 0.7, "offset": [0, 0]}},
            "version": 0.4,
        }

    def _place(self, column: str, kind: str, height: int) -> dict[str, Any]:
        top, key = self._bottom[column], len(self.nodes) + 1
        self._bottom[column] = top + height + GAP
        place = {"pos": [COLUMNS[column], top], "size": [WIDTHS[column], height]}
        return {"id": key, "type": kind, **place, "flags": {}, "order": key - 1, "mode": 0}

    def _socket(self, node: int, place: int, name: str, entry: Entry, inputs: dict[str, Any]) -> dict[str, Any]:
        kind, _, optional = entry
        port = {"name": name, "type": kind, "link": None} | ({"shape": 7} if optional else {})
        if name in inputs:
            source: Output = inputs[name]
            port["link"] = len(self.links) + 1
            self.links.append([port["link"], source.node, source.slot, node, place, source.kind])
        elif not optional:
            raise TypeError(f"nothing is linked to {name}")
        return port


def _properties(kind: str) -> dict[str, Any]:
    ours = kind.startswith("LML")
    package, number = ("lml-sampler", PACK_VERSION) if ours else ("comfy-core", CORE_VERSION)
    return {"cnr_id": package, "ver": number, "Node name for S&R": kind}


def _shown(info: Info, kind: str, inputs: dict[str, Any]) -> list[tuple[str, Entry]]:
    """The inputs of a node; a choice is followed by those that it brings."""
    result = []
    for name, entry in inputs_of(info, kind).items():
        result.append((name, entry))
        if entry[0] == "COMFY_DYNAMICCOMBO_V3":
            chosen = _value(entry, inputs.get(name))
            option = next(option for option in entry[1]["options"] if option["key"] == chosen)
            brought = inputs_of({name: {"input": option["inputs"]}}, name)
            result += [(f"{name}.{inner}", value) for inner, value in brought.items()]
    return result


def _value(entry: Entry, given: Any) -> Any:
    _, options, _ = entry
    if given is not None:
        return given
    first = default(options)
    return first["key"] if isinstance(first, dict) else first


def _saved(entry: Entry, given: Any) -> list[Any]:
    """What the page saves of a widget: its value, and that of the button that it adds."""
    options = entry[1]
    extra = ["fixed"] if options.get("control_after_generate") else ["image"] if options.get("image_upload") else []
    return [_value(entry, given), *extra]


def _widget_port(name: str, entry: Entry) -> dict[str, Any]:
    kind, options, optional = entry
    label = {"label": options["display_name"]} if options.get("display_name") else {}
    port = label | {"name": name, "type": kind, "link": None, "widget": {"name": name}}
    return port | ({"shape": 7} if optional else {})
