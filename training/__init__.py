"""Offline: from labelled mail to a model folder. Each module is one step; `python -m training` lists them."""
