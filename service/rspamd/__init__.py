"""What rspamd's clients send and what they expect, over Hamlet's own classifier and feedback."""
