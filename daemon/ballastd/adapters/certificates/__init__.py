"""Certificates: read from files and taken from whoever shows them in a TLS handshake."""
