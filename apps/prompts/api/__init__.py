"""JSON endpoints of prompts, one module for each subject."""
