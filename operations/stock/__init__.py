"""The stock's pages."""
