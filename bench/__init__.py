"""The baseline of `journey bench`: the same journey, written by hand without the chassis."""
