"""Information about the shop, and the choice of a theme."""
