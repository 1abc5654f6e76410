PYTHON ?= python3
BIN := .venv/bin

# One thread per process unless told otherwise: more threads than free cores make a step several times slower.
export OMP_NUM_THREADS ?= 1

.PHONY: setup test test-full test-workflows test-hosts host-templates lint node-definitions workflows help-pictures demo demo-model bench-arithmetic bench-step-cost bench-quality bench-ablation bench-pairs bench-distilled zoo zoo-distill zoo-sheets zoo-pictures eval-demo

setup:
	@$(PYTHON) benchmarks/comfy_host/install.py

test: lint
	$(BIN)/pytest tests -n 2 --dist loadfile $(ARGS)

# The same, with 10,000 fuzzing examples a node and 240 queued prompts (the fuzzing alone takes an hour).
test-full: lint
	LML_TESTS=full $(BIN)/pytest tests -n 2 --dist loadfile $(ARGS)

# Every workflow file, those with the largest text encoders included (about ten minutes).
test-workflows: setup
	LML_TESTS=full $(BIN)/pytest tests/test_workflows.py $(ARGS)

# The host part of the suite in every supported ComfyUI, or in those of HOSTS="0.16.3 0.30.0".
test-hosts:
	$(PYTHON) benchmarks/host_matrix.py $(HOSTS)

# Every way of sampling in ComfyUI's own workflow templates by lml, as a table (ARGS=FOLDER: in the files of a folder).
host-templates: setup
	$(BIN)/python benchmarks/host_templates.py $(ARGS)

# Take the snapshot of the node definitions that the tests compare with.
node-definitions: setup
	$(BIN)/python benchmarks/node_definitions.py

# Bring the workflow files and the sub-graph up to the nodes as they are now, and draw the pictures beside them.
workflows: setup
	$(BIN)/python benchmarks/make_workflows.py
	$(BIN)/python benchmarks/make_thumbnails.py

# Make the pictures of the help pages again from the nodes as they are now.
help-pictures: setup
	$(BIN)/python benchmarks/help_pictures.py

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

demo: setup
	$(BIN)/python benchmarks/demo.py $(ARGS)

# Train the shipped demo model again (half an hour of a core).
demo-model: setup
	$(BIN)/python benchmarks/train_demo_model.py

bench-arithmetic: setup
	$(BIN)/python benchmarks/arithmetic.py

bench-step-cost: setup
	$(BIN)/python benchmarks/step_cost.py

# Every sampler against converged solutions (17 minutes on two cores; ARGS="--quick": under 3).
bench-quality: setup
	$(BIN)/python benchmarks/bench_quality.py $(ARGS)

# What each term of the scheme auto earns (minutes, after zoo).
bench-ablation: setup
	$(BIN)/python benchmarks/bench_ablation.py

# One schedule for all beside the best sampler and schedule of each cell (under an hour on two cores).
bench-pairs: setup
	$(BIN)/python benchmarks/bench_pairs.py $(ARGS)

# LML on networks of few steps and on a pair of experts (minutes, after zoo and zoo-distill).
bench-distilled: setup
	$(BIN)/python benchmarks/bench_distilled.py

# Train the networks that samplers are measured on (40 minutes of a core; ARGS="NAME ..." for some of them), then their
# students of few steps and a pair of experts (10 minutes), and draw samples of what is there.
zoo zoo-distill zoo-sheets: export PYTHONPATH = benchmarks
zoo: setup
	$(BIN)/python -m zoo.train $(ARGS)

zoo-distill: setup
	$(BIN)/python -m zoo.distill $(ARGS)

zoo-sheets: setup
	$(BIN)/python -m zoo.reference $(ARGS)

# Samples of those networks by LML, euler and dpmpp_2m, for docs/measurements.md (after zoo).
zoo-pictures: setup
	$(BIN)/python benchmarks/zoo_pictures.py

# A table of the demo model by the evaluation that also makes the paper's: see docs/evaluation.md.
eval-demo: setup
	$(BIN)/python benchmarks/eval.py make demo --workers 2
	$(BIN)/python benchmarks/eval.py score demo
