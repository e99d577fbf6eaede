"""From a response's bytes to a model, and back."""
