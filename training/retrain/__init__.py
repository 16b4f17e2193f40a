"""The retraining job: from the users' corrections to the next version, or to the reasons why the old one stays."""
