"""What may be answered from the cache, what may fill it, and who shares an entry with whom. Pure."""
