"""The servers: one package per capability, one shared runtime, one front door (arbitration)."""
