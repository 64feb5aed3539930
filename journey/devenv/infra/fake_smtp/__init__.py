"""A mail server for demos and tests: accepts SMTP, delivers nothing, and shows the received mails."""
