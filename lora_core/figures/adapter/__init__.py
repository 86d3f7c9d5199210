"""Figures of an adapter file: layers by modules, one module's spectrum, what each size keeps."""
