"""What a stack file means, in the words of the Compose Specification. Frozen values only."""
