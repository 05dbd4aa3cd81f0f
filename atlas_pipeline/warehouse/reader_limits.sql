-- Limits of analysts: one of them cannot take all connections, hold rows or fill the disk.
ALTER ROLE atlas_analyst CONNECTION LIMIT 30;
ALTER ROLE atlas_analyst SET idle_in_transaction_session_timeout = '5min';
ALTER ROLE atlas_analyst SET statement_timeout = '30min';
ALTER ROLE atlas_analyst SET temp_file_limit = '10GB';
