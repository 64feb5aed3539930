"""The export of all data that the shop stores about a user."""
