"""Fuzzing by the clock: ``python -m tests.fuzz TARGET --seconds 600``.

Not part of the test run, which tries each target for seconds.
"""
