"""Waiting for a condition instead of sleeping."""

import time


def until(condition, what, seconds=30.0, every=0.05):
    """Returns the first true value of condition(); fails, naming `what`, when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(every)
