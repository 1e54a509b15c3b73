"""Other people's recognisers made bundles of ours by `importing.py`; one file per family says what its graphs hold."""
