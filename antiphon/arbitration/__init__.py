"""The contract of `arbitration` by version, made from protos/ by tools/generate.py."""
