"""Keeps the state of a conversation and finds the words where no skill does.

By rule, in five languages: one file of sentences each. The state is versioned, stored, and safe to repeat.
"""
