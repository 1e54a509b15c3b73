"""How well a bundle of labels reads sentences that people labelled, by locale, and whether a newer one may replace it.

`antiphon evaluate nlu` (`services/evaluate_commands.py`) calls it; nothing that serves does.
"""
