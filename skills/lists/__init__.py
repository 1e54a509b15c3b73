"""Lists and notes: what to buy, what to do, what to keep in mind. Kept by the skill itself, across restarts."""
