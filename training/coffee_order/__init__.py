"""How the coffee bar's phrases were chosen: its orders heard and understood in process, on the tuning part alone."""
