"""JSON endpoints: prices and connections."""
