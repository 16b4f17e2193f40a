"""From the bytes of a mail to token ids, off the event loop: in a process of its own, and in threads."""
