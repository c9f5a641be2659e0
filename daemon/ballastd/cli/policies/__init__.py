"""The verbs of ``ballastctl policy``, one file each."""
