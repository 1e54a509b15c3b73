"""Speaker: tells enrolled voices apart by statistics of their spectra. A hint, not proof of identity."""
