"""Messages and stubs of `antiphon.dialogue.v1`, made from protos/ by tools/generate.py."""
