"""Logits to text: how the next token is chosen, and the loop that does it."""
