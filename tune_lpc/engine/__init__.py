"""Ray, and nothing else of ours: a search on a cluster."""
