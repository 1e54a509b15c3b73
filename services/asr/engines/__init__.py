"""The ways to recognise speech. `protocol.py` says what one must do; `readers.py` tells which one a model wants.

`pocketsphinx` and `neural` are the engines; `transducer` and `ctc` are the models that `neural` runs, and `published`
makes bundles of other people's.
"""
