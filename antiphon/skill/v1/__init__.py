"""Messages and stubs of `antiphon.skill.v1`, made from protos/ by tools/generate.py."""
