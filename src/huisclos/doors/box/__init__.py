"""The Internet box, read-only by construction: UPnP, NAT-PMP, and each maker's own documented reads."""
