"""Log records that belong to their trace, and hold nothing that must not leave."""
