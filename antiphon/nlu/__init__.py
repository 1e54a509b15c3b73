"""The contract of `nlu` by version, made from protos/ by tools/generate.py."""
