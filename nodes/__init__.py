"""The ComfyUI nodes: schema, validation, one call into the core."""
