"""The figures of the small network: its curves, what it writes, the plane, its modules, its sweeps."""
