"""A small drawing for every article: of what kind it is can be read from its title, its colours follow from its SKU."""
