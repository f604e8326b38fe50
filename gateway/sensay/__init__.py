"""Asks Sensay. httpx enters the gateway here and nowhere else."""
