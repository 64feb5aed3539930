"""How a message is processed: definitions, deciders, group commit, effects, retries, deadlines."""
