"""Orders: placing and cancelling them, their timeline, and how customers see their progress."""
