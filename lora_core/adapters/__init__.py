"""Adapters as files: open what PEFT and others wrote, see what their rank holds, cut, and write them."""
