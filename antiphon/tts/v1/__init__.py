"""Messages and stubs of `antiphon.tts.v1`, made from protos/ by tools/generate.py."""
