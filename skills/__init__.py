"""The skills that come with Antiphon. Each imports only `antiphon`, as a third party's would."""
