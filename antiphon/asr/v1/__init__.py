"""Messages and stubs of `antiphon.asr.v1`, made from protos/ by tools/generate.py."""
