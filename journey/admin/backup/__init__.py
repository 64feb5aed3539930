"""Backups of services' databases, their restoration, and the recovery of what happened since."""
