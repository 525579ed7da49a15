"""Zonotopes."""
