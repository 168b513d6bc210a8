"""The systems of the papers, and what they have in common."""
