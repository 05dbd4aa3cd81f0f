"""What Dagster hands to assets, and the instance storage that Dagster itself runs on."""
