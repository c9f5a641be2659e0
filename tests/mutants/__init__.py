"""Seeded faults: one-line sabotages of the real code, and which net catches each. A net is not a net until something
has been thrown into it."""
