"""The stages of a decision, one module each, in the order of `judging`; each keeps its budget (`budgets.py`)."""
