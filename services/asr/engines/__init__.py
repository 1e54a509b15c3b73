"""The ways to recognise speech. `protocol.py` says what one must do."""
