"""Grafana's dashboards as code. `make documents` writes their JSON to deploy/observability."""
