"""python -m service score: scores of mail that lies here, for people and for mail rules."""
