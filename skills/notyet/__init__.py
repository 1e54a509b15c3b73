"""What is often asked for and cannot be done yet: said honestly, with what can be done instead."""
