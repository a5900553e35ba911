"""CertificateSigningRequests: what is approved by itself, what is signed, what is removed."""
