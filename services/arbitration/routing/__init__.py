"""Which pool serves a session: traffic splits, canaries and shadows."""
