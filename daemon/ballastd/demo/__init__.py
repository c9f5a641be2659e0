"""A whole site in one process, in real time: the unmodified daemon, a broker, and a pretend cluster to watch."""
