"""The talk: its scenes, the numbers that they may speak of, and the claims that are held against them."""
