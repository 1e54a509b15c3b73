"""Computes what can be said in a sentence."""
