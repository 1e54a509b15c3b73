"""The contract of `dialogue` by version, made from protos/ by tools/generate.py."""
