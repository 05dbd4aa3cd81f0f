"""Old names: a `dagster.yaml` written for 0.1 points at these modules. New code belongs in `instance/`."""
