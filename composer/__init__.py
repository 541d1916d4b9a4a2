"""jocker: a Compose file, brought up on runc."""

__version__ = "0.1.0"
