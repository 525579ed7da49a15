"""Dual."""
