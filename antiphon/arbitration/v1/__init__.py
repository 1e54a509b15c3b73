"""Messages and stubs of `antiphon.arbitration.v1`, made from protos/ by tools/generate.py."""
