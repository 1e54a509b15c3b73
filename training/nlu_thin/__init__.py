"""How `services/nlu/models/intents-thin` and the place table of `services/nlu` were made."""
