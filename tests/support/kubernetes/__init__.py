"""The Kubernetes manifests: what `make documents` writes, and the rules for what kustomize renders."""
