"""The safety kernel: the only way to a mutating call.

It believes neither planner nor policy: it has hard ceilings, looks at the world again before each act, and acts
only on what is in the journal. It stays right with an adversarial planner behind it. Standard library only.
"""
