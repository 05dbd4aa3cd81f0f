"""Secrets and personal data as they turn up in messages, each with the label that stands in its place.

Belongs here: texts. Does not belong here: the ways they are sent through (`test_scrub.py`, `test_logs.py`).
"""

CANARIES = {
    "anna.kowalska@example.com": "email",
    "anna%40example.org": "email",
    "Bob+news@mail.example.co.uk": "email",
    "+49 30 1234567": "phone",
    "+1 (212) 555-0147": "phone",
    "(212) 555-0147": "phone",
    "415-555-0147": "phone",
    "030 1234567": "phone",
    "07700 900123": "phone",
    "+491701234567": "phone",
    "DE89 3704 0044 0532 0130 00": "iban",
    "GB82WEST12345698765432": "iban",
    "4111 1111 1111 1111": "card",
    "5500-0000-0000-0004": "card",
    "378282246310005": "card",
    "078-05-1120": "ssn",
    "AKIAIOSFODNN7EXAMPLE": "secret",
    "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY": "secret",
    "AGE-SECRET-KEY-1QQPQYRZ0ABCDEFGHJKLMNPQRSTUVWXYZ0234567890ABCDEFGHJKLMNPQRST": "secret",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "secret",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl": "secret",
}
"""Found by their form, wherever they stand."""

IN_CONTEXT = {
    "postgresql://atlas:{}@db.example:5432/atlas": "hunter2zq",
    "postgres://u:{}@h/d": "p%40sszq",
    "redis://:{}@cache:6379/0": "zqredis",
    "Authorization: Bearer {}": "abc123def456",
    "authorization: Basic {}": "YWxhZGRpbjpvcGVu",
    "aws_secret_access_key={}": "shortzq",
    "{{'password': '{}'}}": "zqpass",
    '{{"api_key": "{}", "n": 1}}': "zqkey",
    "https://bucket.example/x?sig={}&y=2": "zqsig",
    "https://bucket.example/x?X-Amz-Signature={}": "5ca1ab1e5ca1ab1e",
    "https://hooks.slack.com/services/{}": "T00000000/B00000000/zqslack",
    "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----": "MIIEvzq",
}
"""Found by what stands around them."""

ORDINARY = """2026-11-22T08:40:00.123+00:00 and 2026-11-22 08:40:00 +0000
run 0b0f3a5e-1c2d-4e5f-8a9b-0c1d2e3f4a5b step silver__customers
silver.customers 10,510 rows in 2.23 s; 51,196 of 1000000
/srv/atlas/landing/customers/customers-2024-01.csv line 1234
version 1.13.27, dagster-postgres 0.29.27, PG 16.4
sha 5f2e0fbd7a1c9f3a0b6e4d8c7f1a2b3c4d5e6f70
sha256 9b74c9897bac770ffc029102a200c5de9b74c9897bac770ffc029102a200c5de
http://127.0.0.1:3000/runs/0b0f3a5e listening on 0.0.0.0:9464
1732262399123456789 ns, 1732262399123 ms, 1732262399 s
token bucket, password rules, secrets_dir, Basic authentication is off, Bearer authentication failed
s3://bucket/prefix/2024/01/part-0001.parquet
order 4000000000, ids 1234567 2345678, 12.5 %, -17, 1e-7
2024-01-31..2024-02-29 partition 2024-01-31|DE
@decorator and user@host column a@b
SELECT count(*) FROM silver.orders WHERE total > 1000000
code 12345-6789 range 1000-2000 sizes 1024 2048 4096
postgresql://atlas@127.0.0.1:5432/atlas
File "/usr/lib/python3.11/site-packages/dagster/_core/execution/plan/utils.py", line 57, in boundary
max token count 5, tokens 12
192.168.100.200 10.0.0.1:54321
0x7f3a5e2b1c40 at 0000012345
20240131 20240131T120000Z 2024-W05
epoch 1700000000 to 1800000000; 100 200 3000
pid 12345 used 123 456 7890 bytes
LSN 0/16B3748, xid 7423, tuple (0,12)""".splitlines()
"""What logs are full of, and stays as it is."""
