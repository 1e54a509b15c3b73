"""Unit conversion: exact factors, rounded as people speak."""
