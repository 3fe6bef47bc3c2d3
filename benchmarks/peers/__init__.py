"""One adapter per rival: the same work, through its own best public way."""
