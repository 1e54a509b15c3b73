"""The client of the Antiphon voice platform: what a user installs and imports. It knows nothing of the servers."""
