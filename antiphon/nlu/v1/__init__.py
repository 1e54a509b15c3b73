"""Messages and stubs of `antiphon.nlu.v1`, made from protos/ by tools/generate.py."""
