"""Transducers as models of `neural`: their networks (as `networks.py` says), and the searches over them."""
