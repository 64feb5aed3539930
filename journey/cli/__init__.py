"""The command `journey`."""
