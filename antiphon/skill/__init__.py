"""The contract of `skill` by version, made from protos/ by tools/generate.py."""
