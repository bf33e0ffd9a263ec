"""OCI images as roots: what names one, what a pull found of it, and what follows from that."""
