"""Trains the reader that Quoteline ships: `python -m training DATA`. Not shipped in the image."""
