"""Activation: hears when somebody speaks, wake phrases, and sounds of a few kinds. No model of its own was trained."""
