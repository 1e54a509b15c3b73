"""Speech synthesis: text, in pieces as it is made, becomes audio with timing marks before the text has ended."""
