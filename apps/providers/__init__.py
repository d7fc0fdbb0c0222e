"""What models cost: dated prices read from LiteLLM's price file, prices of one's own, and the cost of a
usage.

`pricing` is the arithmetic, free of Django. Calling models comes with the prompts.
"""
