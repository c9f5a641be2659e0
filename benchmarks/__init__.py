"""Measurements, never timed tests: each prints a table and writes JSON."""
