"""The host agent: reads what the kernel shows of a host's health and load, and keeps its cordon."""
