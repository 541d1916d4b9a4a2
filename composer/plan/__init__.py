"""From desired and actual to the steps between them. Pure."""
