"""A small drawing for every article: its title selects the motif, its SKU the colours."""
