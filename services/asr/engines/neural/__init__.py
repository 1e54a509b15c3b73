"""Neural models on the event loop: sessions, windows of features, tokens, phrases; models are as `search.py` says."""
