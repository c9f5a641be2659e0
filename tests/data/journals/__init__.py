"""Journals as releases left them, each written by that release's own code with ``write.py``; never written anew.

``first``: the first release of the format (2026-11-23). ``archives``: the first that archives behind a checkpoint.
``fields-in-full``: the last that wrote every field (2026-11-30). ``sparse``: the first that leaves out what is as by
default. A release adds its own once what it writes has changed.
"""
