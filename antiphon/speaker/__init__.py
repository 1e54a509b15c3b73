"""The contract of `speaker` by version, made from protos/ by tools/generate.py."""
