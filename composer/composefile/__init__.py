"""From text to a Project: passes over a tree in which every node knows its place."""
