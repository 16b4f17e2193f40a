"""How the tables came to be, step by step; service.feedback.migrate runs what is missing."""
