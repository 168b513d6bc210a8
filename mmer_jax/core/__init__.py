"""Arrays only: layers, losses and statistics. No files, no configs."""
