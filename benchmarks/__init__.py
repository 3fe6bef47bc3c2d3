"""Speed against named peers, measured only after agreement is asserted."""
