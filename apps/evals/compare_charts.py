"""To come in a moment."""
