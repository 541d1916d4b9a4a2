"""One process for each stack that needs somebody awake: it probes health, and starts again what has ended."""
