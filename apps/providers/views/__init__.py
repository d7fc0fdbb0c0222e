"""Pages: prices and connections."""
