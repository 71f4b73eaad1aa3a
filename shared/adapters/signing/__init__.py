"""Keys that sign evidence: in Cloud KMS, or in a local file."""
