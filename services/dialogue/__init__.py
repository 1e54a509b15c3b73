"""Keeps the state of a conversation and finds the words where no skill does.

An honest minimum: sentences by rule in five languages, beliefs taken over from what was understood. The state is real:
versioned, stored, and safe to repeat.
"""
