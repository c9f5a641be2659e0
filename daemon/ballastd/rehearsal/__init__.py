"""The unmodified daemon on a pretend cluster and on virtual time: hours in seconds, the same every time."""
