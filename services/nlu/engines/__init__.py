"""The ways to tell intents and slots from text, one file each, behind the Protocol in `engine.py`."""
