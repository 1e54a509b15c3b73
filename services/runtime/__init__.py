"""The only code that the capabilities share; it knows none of them."""
