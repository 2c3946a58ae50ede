"""Quality and speed on any data set in BEIR's layout; not shipped in the image."""
