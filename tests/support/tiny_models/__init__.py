"""Checkpoints of the real architectures, small enough for a CPU, that ComfyUI's own loader nodes accept.

`standard_files.write` makes them under the names of the public files, so that a workflow runs unchanged. The weights
are random: the pictures show nothing, but every loader, text encoder, network and decoder is the host's own.
"""
