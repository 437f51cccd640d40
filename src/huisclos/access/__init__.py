"""Who acts, what each role may do, and the grants that say so: nouns shared by every flow, no I/O."""
