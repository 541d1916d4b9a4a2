"""What is on the machine: one snapshot, taken once."""
