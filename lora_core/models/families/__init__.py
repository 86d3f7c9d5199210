"""The families of models that are counted: what their matrices are, from the fields of a config.json."""
