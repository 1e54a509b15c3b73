"""Values in languages that have no grammar of their own: days, times, lengths of time, numbers and money.

The names of days, months, units and currencies come from CLDR (by Babel) and from dateparser; what stands before and
after an hour, and numbers in words, from `vocabulary.py`. Less is understood than by a grammar, and nothing is guessed.
"""
