"""The command `python -m journey.infra`; its code is in journey/devenv/infra."""
