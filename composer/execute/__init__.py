"""Walks a plan: the only place where steps become actions."""
