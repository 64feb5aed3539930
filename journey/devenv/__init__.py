"""Starts a shop on one machine: as processes, as containers, or in memory."""
