"""All ranks of one experiment: their numbers, and the charts of them."""
