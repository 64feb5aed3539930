"""The basket: its rules, its storage, its HTTP API and its page."""
