"""The contract of `activation` by version, made from protos/ by tools/generate.py."""
