"""`make demo`: LML beside ComfyUI's own samplers in the real ComfyUI, as a picture and a table.

Runs the shipped workflow over ComfyUI's HTTP API: the same seed and steps for every sampler, once with the schedule
that its node begins with and once with the same for all, and a converged run as the reference. `--open` leaves ComfyUI
running for the browser instead.
"""

import argparse
import copy
import json
import signal
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from comfy_host.client import Client
from comfy_host.install import ROOT, WORK
from comfy_host.server import PACK, comfyui
from PIL import Image, ImageChops, ImageDraw, ImageFont
from tqdm import tqdm

WORKFLOW = ROOT / "workflows" / "LML_Demo.json"
STEPS = (5, 8, 12)
SAMPLERS = ("lml", "euler", "dpmpp_2m", "uni_pc")
SCHEDULE = "normal"
FIRST_SCHEDULES = {"lml": "lml", "euler": "simple", "dpmpp_2m": "simple", "uni_pc": "simple"}
"""What LML KSampler and KSampler begin with."""
WAYS = [*FIRST_SCHEDULES.items(), *((name, SCHEDULE) for name in SAMPLERS)]
Cell = tuple[str, str, int]
"""A sampler, a schedule and a number of steps."""
REFERENCE: Cell = ("dpmpp_2m", SCHEDULE, 100)
SUBJECTS = (("circle", "red"), ("square", "yellow"), ("triangle", "green"), ("star", "blue"))
BATCH = 4
AMPLIFIED = 3
PIXELS, CROP, ZOOM = 64, 48, 4
"""Side of a picture of the demo model (the workflow enlarges it), of its middle that is shown, and how many times."""
RUN_SECONDS = 3600
"""A hundred steps take minutes on a processor with other work."""


def cell_prompt(prompt: dict[str, Any], cell: Cell, subject: tuple[str, str]) -> dict[str, Any]:
    """The workflow cut down to one sampler: its LML branch, or its KSampler branch with `sampler`."""
    prompt = copy.deepcopy(prompt)
    sampler, schedule, steps = cell
    kind, other = ("LMLKSampler", "KSampler") if sampler == "lml" else ("KSampler", "LMLKSampler")
    prompt = without(prompt, find(prompt, other))
    inputs = prompt[find(prompt, kind)]["inputs"]
    inputs |= {"steps": steps, "scheduler": schedule}
    if kind == "KSampler":
        inputs["sampler_name"] = sampler
    shape, color = subject
    prompt[find(prompt, "LMLDemoModel")]["inputs"] |= {"shape": shape, "color": color, "batch_size": BATCH}
    return prompt


def find(prompt: dict[str, Any], class_type: str) -> str:
    """The id of the node of a type."""
    return next(node for node, value in prompt.items() if value["class_type"] == class_type)


def without(prompt: dict[str, Any], node: str) -> dict[str, Any]:
    """The workflow less a node and all that it feeds."""
    links = {key: [v[0] for v in value["inputs"].values() if isinstance(v, list)] for key, value in prompt.items()}
    gone = {node}
    while fed := {key for key, sources in links.items() if key not in gone and gone.intersection(sources)}:
        gone |= fed
    return {key: value for key, value in prompt.items() if key not in gone}


def pictures(client: Client, prompt: dict[str, Any], cell: Cell) -> list[Image.Image]:
    """All pictures of a cell, subject by subject."""
    result = []
    for subject in SUBJECTS:
        images = client.run(cell_prompt(prompt, cell, subject), timeout=RUN_SECONDS).images
        result += [image for batch in images.values() for image in batch]
    return result


def rms(images: list[Image.Image], reference: list[Image.Image]) -> float:
    """Root mean square difference, in units of the full brightness."""
    values = np.stack([np.asarray(image, dtype=np.float64) for image in images])
    exact = np.stack([np.asarray(image, dtype=np.float64) for image in reference])
    return float(np.sqrt(np.mean((values - exact) ** 2)) / 255)


def middle(image: Image.Image) -> Image.Image:
    """The middle of a picture, enlarged."""
    start, end = (PIXELS - CROP) // 2, (PIXELS + CROP) // 2
    small = image.resize((PIXELS, PIXELS), Image.Resampling.NEAREST).crop((start, start, end, end))
    return small.resize((ZOOM * CROP, ZOOM * CROP), Image.Resampling.NEAREST)


def contact_sheet(made: dict[Cell, list[Image.Image]]) -> Image.Image:
    """The fewest steps, a column for each sampler and one for the reference.

    Of each subject the middle of the first picture, and below it how far it is from the reference.
    """
    side, gap, head, reference = ZOOM * CROP, 6, 138, made[REFERENCE]
    columns = {name: made[name, schedule, STEPS[0]] for name, schedule in FIRST_SCHEDULES.items()}
    heads = {"LML" if name == "lml" else name: f"off by {rms(columns[name], reference):.1%}" for name in SAMPLERS}
    heads["finished"] = f"{REFERENCE[-1]} steps"
    width, height = len(heads) * (side + gap) - gap, head + len(SUBJECTS) * (2 * side + gap) - gap
    sheet = Image.new("RGB", (width, height), "white")
    draw = ImageDraw.Draw(sheet)
    title = f"{STEPS[0]} steps, same seed, each sampler with the schedule that its node begins with"
    below = f"below each picture, what is wrong in it (x {AMPLIFIED})"
    draw.text((width / 2, 2), title, "black", ImageFont.load_default(28), "ma")
    draw.text((width / 2, 36), below, "black", ImageFont.load_default(28), "ma")
    for column, (images, (name, note)) in enumerate(zip([*columns.values(), reference], heads.items(), strict=True)):
        left = column * (side + gap)
        draw.text((left + side / 2, 74), name, "black", ImageFont.load_default(30), "ma")
        draw.text((left + side / 2, 106), note, "black", ImageFont.load_default(26), "ma")
        for row, (image, finished) in enumerate(zip(images[::BATCH], reference[::BATCH], strict=True)):
            top = head + row * (2 * side + gap)
            wrong = ImageChops.difference(image, finished).point(lambda value: AMPLIFIED * value)
            sheet.paste(middle(image), (left, top))
            sheet.paste(middle(wrong), (left, top + side))
    return sheet


def table(made: dict[Cell, list[Image.Image]]) -> str:
    """How far each cell is from the reference."""
    lines = [f"{'sampler':<10}{'schedule':<10}" + "".join(f"{f'{steps} steps':>10}" for steps in STEPS)]
    for name, schedule in WAYS:
        values = (rms(made[name, schedule, steps], made[REFERENCE]) for steps in STEPS)
        lines.append(f"{name:<10}{schedule:<10}" + "".join(f"{value:>10.3f}" for value in values))
    return "\n".join(lines)


def compare(client: Client, path: Path) -> None:
    """Run every cell, write the sheet and print the table."""
    prompt = client.to_api(json.loads(WORKFLOW.read_text()))
    cells: list[Cell] = [REFERENCE, *((*way, steps) for way in WAYS for steps in STEPS)]
    made = {}
    with tqdm(
        total=sum(steps for *_, steps in cells), unit="step", bar_format="{desc:<28}{bar:30}{percentage:4.0f} %"
    ) as bar:
        for name, schedule, steps in cells:
            bar.set_description_str(f"{name}, {schedule}, {steps} steps")
            made[name, schedule, steps] = pictures(client, prompt, (name, schedule, steps))
            bar.update(steps)
    contact_sheet(made).save(path)
    name, _, steps = REFERENCE
    print(f"\nRMS distance to the converged picture ({name}, {steps} steps), {len(made[REFERENCE])} pictures")
    print(table(made))
    print(f"\nPicture: {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--open", action="store_true", help="leave ComfyUI running with the workflow ready to load")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ComfyUI is stopped in either case
    started = time.monotonic()
    print("Starting ComfyUI (up to a minute) ...", flush=True)
    previews = "latent2rgb" if options.open else "none"
    with comfyui(WORK / "demo", ["--preview-method", previews]) as client:
        if options.open:
            print(f"Open {client.url}/?template={quote(WORKFLOW.stem)}&source={PACK}   (Ctrl-C stops ComfyUI)")
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                return
        print(f"Making {len(SUBJECTS) * BATCH} pictures in each of {len(WAYS)} ways ...", flush=True)
        compare(client, ROOT / "demo.png")
    print(f"Done in {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
