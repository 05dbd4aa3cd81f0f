"""What a SQL model reads, and where its columns come from."""
