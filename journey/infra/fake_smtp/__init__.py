"""A mail server for demos and tests: it accepts real SMTP, delivers nothing, and shows what arrived."""
