"""gemb: can an embedding model be the eyes and ears of a frozen language model?

A frozen encoder turns an image or a sound into one vector, a small trained
adaptor maps it to a few virtual tokens, and a frozen LLM reads them before a
text prompt and answers.
"""

__version__ = "0.1.0"
