"""Messages and stubs of `antiphon.speaker.v1`, made from protos/ by tools/generate.py."""
