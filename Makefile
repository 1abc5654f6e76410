PYTHON ?= python3
BIN := .venv/bin

# One thread per process unless told otherwise: more threads than free cores make a step several times slower.
export OMP_NUM_THREADS ?= 1

.PHONY: setup test lint demo demo-model bench-arithmetic bench-step-cost bench-quality

setup:
	@$(PYTHON) benchmarks/comfy_host/install.py

test: lint
	$(BIN)/pytest tests $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright

demo: setup
	$(BIN)/python benchmarks/demo.py $(ARGS)

# Train the two shipped demo models again (under two hours on two cores).
demo-model: setup
	$(MAKE) -j2 demo-model-eps demo-model-flow

demo-model-%:
	$(BIN)/python benchmarks/train_demo_model.py $* $(ARGS)

bench-arithmetic: setup
	$(BIN)/python benchmarks/arithmetic.py

bench-step-cost: setup
	$(BIN)/python benchmarks/step_cost.py

# Every sampler against converged solutions (under 30 minutes on two cores; ARGS="--quick": under 3).
bench-quality: setup
	$(BIN)/python benchmarks/bench_quality.py $(ARGS)
