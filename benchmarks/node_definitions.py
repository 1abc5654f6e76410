"""Node definitions as saved workflows depend on them: take a snapshot, and tell what a change would break.

Run as a script it writes the snapshot that the tests compare with.
"""

import asyncio
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SNAPSHOT = ROOT / "tests" / "node_definitions.json"
RECORDED = ("default", "min", "max", "options")

Definitions = dict[str, dict[str, Any]]


def version() -> str:
    """The version in pyproject.toml."""
    return re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]


def is_released(version: str) -> bool:
    """Whether the changelog has a date for a version."""
    heading = rf"^## {re.escape(version)} \(\d{{4}}-\d\d-\d\d\)$"
    return re.search(heading, (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE) is not None


def node_ids() -> list[str]:
    """The ids of the pack's nodes, read from its source: they must be literals for ComfyUI-Manager to find them."""
    sources = (path.read_text() for path in (ROOT / "nodes").rglob("*.py"))
    return sorted(name for source in sources for name in re.findall(r'node_id="(\w+)"', source))


def node_list(pack: ModuleType) -> list[Any]:
    """The node classes that the pack registers."""

    async def ask() -> list[Any]:
        extension = await pack.comfy_entrypoint()
        return await extension.get_node_list()

    return asyncio.run(ask())


def definitions(pack: ModuleType) -> Definitions:
    """By node id: the inputs in their order, and the types of the outputs."""
    result = {}
    for node in node_list(pack):
        info = node.GET_NODE_INFO_V1()
        inputs = []
        for group in ("required", "optional"):
            for name, (kind, *rest) in info["input"].get(group, {}).items():
                options = {key: _bare(rest[0][key]) for key in RECORDED if rest and key in rest[0]}
                inputs.append({"name": name, "type": kind, "optional": group == "optional", **options})
        result[info["name"]] = {"inputs": inputs, "outputs": list(info["output"])}
    return result


def _bare(value: Any) -> Any:
    """An option; of a choice that shows inputs, its name alone."""
    return [one["key"] if isinstance(one, dict) else one for one in value] if isinstance(value, list) else value


def breaking_changes(old: Definitions, new: Definitions) -> list[str]:
    """What would make a saved workflow fail or mean something else, one sentence each."""
    found = [f"{node} is gone" for node in old.keys() - new.keys()]
    for node in old.keys() & new.keys():
        before, after = old[node]["inputs"], new[node]["inputs"]
        names = [entry["name"] for entry in before], [entry["name"] for entry in after]
        if names[0] != names[1][: len(before)]:
            found.append(f"{node}: the inputs were {names[0]}, now they begin {names[1][: len(before)]}")
            continue
        found += [
            f"{node}.{entry['name']} is new and not optional" for entry in after[len(before) :] if not entry["optional"]
        ]
        for one, other in zip(before, after, strict=False):
            found += [f"{node}.{one['name']}: {reason}" for reason in _narrower(one, other)]
        outputs = old[node]["outputs"], new[node]["outputs"]
        if outputs[0] != outputs[1][: len(outputs[0])]:
            found.append(f"{node}: the outputs were {outputs[0]}, now they are {outputs[1]}")
    return sorted(found)


def _narrower(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Why an input takes less than it took."""
    found = []
    if old["type"] != new["type"]:
        found.append(f"the type was {old['type']}, now it is {new['type']}")
    if old["optional"] and not new["optional"]:
        found.append("it was optional")
    if "min" in new and new["min"] > old.get("min", -float("inf")):
        found.append(f"min was {old.get('min')}, now it is {new['min']}")
    if "max" in new and new["max"] < old.get("max", float("inf")):
        found.append(f"max was {old.get('max')}, now it is {new['max']}")
    gone = [option for option in old.get("options", ()) if option not in new.get("options", ())]
    if gone:
        found.append(f"the options {gone} are gone")
    return found


def allowed_by(old: str, new: str) -> bool:
    """Whether the step from a version to another may break workflows: a new major version, or minor before 1.0."""
    before, after = ([int(part) for part in text.split(".")] for text in (old, new))
    return after[0] > before[0] or (before[0] == after[0] == 0 and after[1] > before[1])


def main() -> None:
    from comfy_host.inprocess import load_pack

    found = definitions(load_pack())
    if SNAPSHOT.exists():
        old = json.loads(SNAPSHOT.read_text())
        broken = breaking_changes(old["nodes"], found)
        if broken and is_released(old["version"]) and not allowed_by(old["version"], version()):
            sys.exit("\n".join([*broken, f"{old['version']} is released: raise the version first."]))
        print("\n".join(broken))
    SNAPSHOT.write_text(json.dumps({"version": version(), "nodes": found}, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
