"""Settings of all tests: hypothesis is reproducible, and the first call of a compiled function may take its time."""

from hypothesis import settings

settings.register_profile("backpulse", derandomize=True, deadline=None)
settings.load_profile("backpulse")
