"""The client's verbs of the command line, a module for each kind; `antiphon/cli.py` puts them together."""
