"""Where cache entries are kept: in this process, in Milvus, or in both. The only place with pymilvus."""
