"""The backends, asked by their own APIs for what was sent: a file a product, all with the same few questions."""
