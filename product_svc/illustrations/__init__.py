"""A small drawing for every article: its title selects the file in `motifs`, its SKU the colours."""
