"""Fuzzing for as long as one likes: what no unit test has the time for."""
