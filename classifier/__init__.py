"""From the bytes of one email to a verdict: the core shared by training and service."""
