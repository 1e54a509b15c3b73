"""How `antiphon/en-commands` was made: an n-gram model of spoken commands for pocketsphinx."""
