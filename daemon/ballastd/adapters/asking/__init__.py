"""Asking VMs from outside whether they answer."""
