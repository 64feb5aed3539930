"""Dead letters: read, select, redrive, drop, audit."""
