"""Messages and stubs of `antiphon.activation.v1`, made from protos/ by tools/generate.py."""
