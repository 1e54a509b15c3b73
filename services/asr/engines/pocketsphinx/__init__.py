"""Pocketsphinx in worker processes: hidden Markov models, a language model, and one made of a session's phrases."""
