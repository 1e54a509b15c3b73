"""How `antiphon/intents-en` was made: intents of the MASSIVE and CLINC150 taxonomies with slots, for English."""
