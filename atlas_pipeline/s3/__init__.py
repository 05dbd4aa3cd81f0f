"""Access to S3 and servers that speak its protocol: client, errors, retries, resumable reads.

Belongs here: what sources and backups share. Does not belong here: what is read or stored (`ingest/sources/s3.py`,
`backup/store/s3.py`).
"""
