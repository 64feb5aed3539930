"""Starts a shop on one machine: as processes, containers, or in memory."""
