"""Orders: the stuck ones, and the timeline of one order."""
