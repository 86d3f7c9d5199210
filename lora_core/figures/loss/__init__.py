"""The loss chart: its numbers and its drawing."""
