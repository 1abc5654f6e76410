"""The translations and the help: nothing missing, nothing stale, nothing out of step with the nodes.

For a new node, copy its entry of `locales/en/nodeDefs.json` into every language and translate the texts; inputs that
other nodes have are translated there already.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from node_definitions import node_list

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "nodes" / "web" / "docs"
LANGUAGES = ("en", "zh", "zh-TW", "ja", "ko", "fr", "es", "ru")
PAGES = sorted(page.stem for page in DOCS.glob("*.md"))


def read(language: str, name: str = "nodeDefs") -> dict[str, Any]:
    return json.loads((ROOT / "locales" / language / f"{name}.json").read_text("utf-8"))


def texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every text with the way to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def schemas(pack: ModuleType) -> dict[str, Any]:
    return {node.define_schema().node_id: node.define_schema() for node in node_list(pack)}


def in_english(schema: Any) -> dict[str, Any]:
    """The entry that the English file must have."""
    outputs = {
        str(k): {"name": o.display_name or o.io_type, "tooltip": o.tooltip} for k, o in enumerate(schema.outputs)
    }
    inputs = {each.id: {"name": each.display_name or each.id, "tooltip": each.tooltip} for each in schema.inputs}
    return {
        "display_name": schema.display_name,
        "description": schema.description,
        "inputs": inputs,
        "outputs": outputs,
    }


def test_english_is_what_the_nodes_say(pack: ModuleType) -> None:
    wanted = {name: in_english(schema) for name, schema in schemas(pack).items()}
    said, expected = dict(texts(read("en"))), dict(texts(wanted))
    differs = {key: text for key, text in expected.items() if said.get(key) != text}
    assert not differs, f"locales/en/nodeDefs.json: missing or other than the node says: {differs}"
    assert not said.keys() - expected.keys(), f"locales/en/nodeDefs.json: stale: {said.keys() - expected.keys()}"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["nodeDefs", "main"])
def test_every_language_has_every_text_and_no_other(language: str, name: str) -> None:
    english, said = dict(texts(read("en", name))), dict(texts(read(language, name)))
    assert not english.keys() - said.keys(), f"{language}: missing {english.keys() - said.keys()}"
    assert not said.keys() - english.keys(), f"{language}: stale {said.keys() - english.keys()}"
    assert sorted(each.name for each in (ROOT / "locales").iterdir()) == sorted(LANGUAGES)
    for key, text in said.items():
        # ComfyUI's page takes these for placeholders, links and plurals of its own.
        assert text.strip() == text and text and not re.search(r"[@{}|]", text), f"{language} {key}: {text!r}"


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_the_translations_fit_the_english(language: str) -> None:
    english, said = dict(texts(read("en"))), dict(texts(read(language)))
    same: dict[str, set[str]] = {}
    for key, text in english.items():
        same.setdefault(text, set()).add(said[key])
        if "tooltip" in key or "description" in key:
            assert said[key] != text, f"{language} {key} is not translated"
            for symbol in ("λ", "κ", "dpmsolver++", "low:high:count", "try all", "float32"):
                assert (symbol in text) == (symbol in said[key]), f"{language} {key}: {symbol}"
        elif text in ("λ", "κ") or key.endswith("display_name"):
            assert said[key] == text if len(text) == 1 else "LML" in said[key]
    assert not {text: ways for text, ways in same.items() if len(ways) > 1}, "one text, translated in two ways"
    names = {value["display_name"] for value in read(language).values()}
    assert len(names) == len(read(language)), "two nodes of one name"


# --- The help


IN_FULL = ("en", "zh", "ja", "ko")
"""The languages whose pages also say what to do, and what to do when it goes wrong."""
PANEL = 3000
"""Characters of a page in the help panel, which is 282 pixels wide."""


def test_every_node_has_a_page_at_every_address(pack: ModuleType) -> None:
    """ComfyUI asks for the page of the language first, and for the one without a language after that."""
    assert sorted(schemas(pack)) == PAGES
    for name in PAGES:
        assert sorted(page.stem for page in (DOCS / name).glob("*.md")) == sorted(LANGUAGES), name
        assert (DOCS / f"{name}.md").read_text("utf-8") == (DOCS / name / "en.md").read_text("utf-8")


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_fits_the_panel_and_names_every_input(pack: ModuleType, name: str, language: str) -> None:
    page = (DOCS / name / f"{language}.md").read_text("utf-8")
    assert len(page) < PANEL and page.startswith("# ")
    assert "\n|" not in page and "\n    " not in page, "a table or code is wider than the panel, and is cut off"
    for picture in re.findall(r"!\[.+\]\((.+)\)", page):
        assert (DOCS / picture).is_file(), picture
    said = read(language)[name]
    for entry in schemas(pack)[name].inputs:
        shown = said["inputs"][entry.id]["name"]
        assert f"\n- **{shown}**" in page, shown
    if language in IN_FULL:
        assert page.count("\n## ") >= 4 and page.count("\n- ") >= 2
