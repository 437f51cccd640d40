"""Flow 1, keep: objects, manifests, receiving, querying, retrieving, verifying; ports, no adapters."""
