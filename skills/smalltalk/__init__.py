"""Small talk: what an assistant says of itself, and a little company."""
