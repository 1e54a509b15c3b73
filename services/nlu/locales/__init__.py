"""Locales that are added while the platform runs: a bilingual lexicon in the place of labelled sentences.

`translation.py` makes sentences of the new language word by word, `learning.py` trains a small model on them,
`adding.py` does both off the event loop and keeps the result in the library's store, `reading.py` reads by it.
"""
