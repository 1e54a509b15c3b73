"""The contract of `types` by version, made from protos/ by tools/generate.py."""
