"""How the rankers of `services/arbitration/models` were made, on a simulator of people and skills that overlap."""
