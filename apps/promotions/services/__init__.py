"""What can be done with promotions, rollbacks, watches and experiments: one module for each group of verbs."""
