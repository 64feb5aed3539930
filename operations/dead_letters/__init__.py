"""Dead letters: groups, redrives and drops, and the audit log."""
