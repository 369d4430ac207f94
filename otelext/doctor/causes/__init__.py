"""From what was gathered to the most likely cause and the next command: pure functions, a file a place of the way."""
