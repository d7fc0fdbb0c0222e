"""Pages of prompts, one module for each subject."""
