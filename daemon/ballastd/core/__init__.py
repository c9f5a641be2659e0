"""The mind: deterministic, no I/O, no clock, no task. Same inputs in the same order, same decisions."""
