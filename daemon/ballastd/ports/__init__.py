"""The ports: what the mind and the shell need of the world, with full contracts.

The same unmodified daemon runs against libvirt, against the simulator and against a recording, because all of
them stand behind these.
"""
