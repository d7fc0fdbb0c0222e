"""What can be done with notices and channels: one module for each group of verbs."""
