"""Speech recognition: turns a stream of audio into partial and final transcripts, and decides where utterances end.

A message's way: `servicer.py` (contract) -> `recognizer.py` (sessions, in the replica) -> `engines/` -> a worker
process, where `transcriber.py` runs one session's voice activity detection, endpointing and decoding.
"""
