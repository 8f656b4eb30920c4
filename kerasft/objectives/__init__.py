"""What is minimised, how, and how the result is measured."""
