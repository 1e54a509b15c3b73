"""Tells the time and the date, here or anywhere."""
