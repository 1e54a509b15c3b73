"""Activation: hears when somebody speaks and when a sound begins; wake words have their place and no model yet."""
