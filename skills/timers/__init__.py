"""Timers and alarms: what rings later. Kept by the platform, set and read by this skill."""
