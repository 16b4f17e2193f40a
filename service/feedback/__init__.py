"""What people say of messages: a journal in a database, to learn from and to forget."""
