"""JSON endpoints of promotions."""
