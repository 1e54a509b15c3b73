"""How `antiphon/intents-xsid` is made and measured: one model for all varieties of xSID."""
