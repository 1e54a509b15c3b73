"""How services/speaker/models/voice-statistics was made: one recipe, a few seconds of numpy."""
