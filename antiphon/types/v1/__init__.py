"""Messages and stubs of `antiphon.types.v1`, made from protos/ by tools/generate.py."""
