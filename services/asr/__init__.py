"""Speech recognition: turns a stream of audio into partial and final transcripts, and decides where utterances end.

A message's way: `servicer.py` (contract) -> `recognizer.py` (sessions, in the replica) -> one of `engines/`, which its
models name. In each a `segmenter.py` finds speech and decides where it ends: on the event loop for neural models
(`engines/neural/engine.py`), whose networks run where the `ModelClient` has them, and in a worker process for
pocketsphinx (`transcriber.py`), which would hold up everybody else.
"""
