"""Takes coffee orders. A skill as a third party would write it: a server of its own, registered by its address."""
