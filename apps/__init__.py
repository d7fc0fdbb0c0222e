"""The product, as small apps in one downward line (see CONTRIBUTING.md)."""
