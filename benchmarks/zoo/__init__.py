"""Small networks of many kinds, trained here for real (`make zoo`), that a sampler is measured on.

`problems` says which networks there are and loads them, `train` trains them, `data` and `nets` are what they are
made of, `reference` solves them and draws their samples, `distill` makes students of few steps.
"""
