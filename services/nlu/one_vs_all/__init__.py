"""One binary model per intent, made from a skill's phrases alone: a skill is added or retrained without the others."""
