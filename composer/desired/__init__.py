"""What should be on the machine: every default resolved, nothing left to look up."""
