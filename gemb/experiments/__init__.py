"""The experiments: one module a notebook, ``run(profile) -> record``, nothing drawn."""
