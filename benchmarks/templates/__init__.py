"""The workflow files of today's models: described in a few lines each, laid out from the nodes' definitions."""
