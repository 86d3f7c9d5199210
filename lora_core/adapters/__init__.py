"""Files of PEFT's: adapters written, and read."""
