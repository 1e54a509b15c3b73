"""Understanding: ranked intents with typed slots for the n-best texts of a turn, each with a calibrated score."""
