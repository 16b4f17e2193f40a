"""Archives: mail by the million, scored or searched for near copies by many processes, on one machine or with Ray."""
