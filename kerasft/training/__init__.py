"""How `fit` is run: devices, callbacks, reports, settings."""
