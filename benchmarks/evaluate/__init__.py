"""Tables of sampler comparisons that anyone can make again, on one machine or on many: see docs/evaluation.md."""
