"""Results in an object store (S3): a local folder, whose journal is uploaded in segments as it grows.

Loaded only where an address is given; a search in a folder knows nothing of it.
"""
