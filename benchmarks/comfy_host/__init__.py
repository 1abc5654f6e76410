"""The real ComfyUI for development, tests and benchmarks: install it, start it, talk to it."""
