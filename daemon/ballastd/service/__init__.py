"""The shell: listens, steps the mind at its own pace, journals, acts. Decides nothing."""
