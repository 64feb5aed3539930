"""What `journey bench` measures against: the same journey, written by hand in the plain way."""
