"""The contract of `tts` by version, made from protos/ by tools/generate.py."""
