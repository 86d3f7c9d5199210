"""Training: the plain loop, the engine that takes the same steps without the batch, runs and sweeps."""
