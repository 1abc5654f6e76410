"""Make, score and tabulate an evaluation of samplers: see docs/evaluation.md.

    eval.py plan SUITE      what it is, without running anything
    eval.py make SUITE      make the pictures; the same command goes on where it was
    eval.py score SUITE     score what is complete, and the tables
    eval.py table FOLDER…   the tables of one or several scored folders
    eval.py export SUITE    pictures in the folders of T2I-CompBench
    eval.py simulate        stub units with dying workers

SUITE is the name of one that ships (benchmarks/evaluate/suites) or a TOML file.
"""

import argparse
import sys
from pathlib import Path

from evaluate import commands
from evaluate.errors import EvaluationError


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parsers = parser.add_subparsers(dest="command", required=True)
    for name in ("plan", "make", "score", "export"):
        each = parsers.add_parser(name)
        each.add_argument("suite")
        each.add_argument("--out", type=Path, help="the folder of the evaluation; .evaluate/SUITE if not given")
    plan = parsers.choices["plan"]
    plan.add_argument("--seconds-a-call", type=float, help="of one picture, as measured")
    plan.add_argument("--workers", type=int, default=1)
    make = parsers.choices["make"]
    make.add_argument("--engine", choices=["local", "ray"], default="local")
    make.add_argument("--server", nargs="+", metavar="URL", help="ComfyUI servers that are running")
    make.add_argument("--workers", type=int, default=0, help="ComfyUI processes or actors; one a GPU if not given")
    make.add_argument("--models", type=Path, help="ComfyUI's folder of models, for the processes that are started")
    make.add_argument("--ray-address", help="of a Ray cluster: auto, or HOST:PORT; if not given this machine alone")
    make.add_argument("--patience", type=float, default=600.0, help="seconds to wait for a worker that is gone")
    make.add_argument("--again", action="store_true", help="try the units once more that could not be made")
    score = parsers.choices["score"]
    score.add_argument("--reference", help="the real pictures: a folder, a data set of torch-fidelity or an .npz file")
    score.add_argument("--weights", type=Path, help="file of the weights of the feature network")
    score.add_argument("--clip", type=Path, help="folder of a CLIP model of transformers")
    parsers.add_parser("table").add_argument("folders", nargs="+", type=Path)
    export = parsers.choices["export"]
    export.add_argument("--for", choices=["t2i-compbench"], required=True, dest="benchmark")
    export.add_argument("--model", default="model", help="name of the model in the folders")
    export.add_argument("--target", type=Path)
    simulate = parsers.add_parser("simulate")
    simulate.add_argument("--out", type=Path, required=True)
    simulate.add_argument("--engine", choices=["local", "ray"], default="ray")
    simulate.add_argument("--units", type=int, default=10_000)
    simulate.add_argument("--workers", type=int, default=2)
    simulate.add_argument("--seconds", type=float, default=0.0, help="that a unit takes")
    simulate.add_argument("--dying", type=float, default=0.01, help="share of the units over which a worker dies")
    return parser


def main() -> int:
    options = arguments().parse_args()
    try:
        return getattr(commands, options.command)(options) or 0
    except EvaluationError as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what is made is kept. The same command goes on.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
