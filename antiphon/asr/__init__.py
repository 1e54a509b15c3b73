"""The contract of `asr` by version, made from protos/ by tools/generate.py."""
