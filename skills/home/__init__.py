"""A simulated home: rooms, devices and their states, which each user keeps across restarts."""
