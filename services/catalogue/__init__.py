"""Public models: which there are, how they come into a store of bundles, and whether what lies there is still whole.

`models.yaml` lists them by capability with their source, licence and digest; `antiphon models list | pull | import |
verify` is the way in. Nothing here serves: capabilities read the store that this fills (`runtime/model_store.py`).
"""
