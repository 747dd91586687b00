from hypothesis import settings

# the same cases on every machine; no deadline, since a shared machine may stall
settings.register_profile("reproducible", derandomize=True, deadline=None)
settings.load_profile("reproducible")
