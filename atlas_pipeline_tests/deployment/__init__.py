"""The services of docker/compose.yaml, started together on this machine without docker."""
