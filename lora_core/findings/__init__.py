"""Sentences about runs: what one showed, what to try next, and what the original script prints."""
