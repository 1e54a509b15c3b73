"""From the words of a slot to a value that does not depend on language: numbers, arithmetic, places, days."""
