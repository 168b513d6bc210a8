"""Holds what every other folder needs: errors, commands, files, versions."""
