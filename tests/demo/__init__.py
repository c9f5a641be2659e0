"""The demo: the unmodified daemon on a real lab, told as a story; every claim is checked against the hosts."""
