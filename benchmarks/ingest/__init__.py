"""What an ingestion takes, stage by stage."""
