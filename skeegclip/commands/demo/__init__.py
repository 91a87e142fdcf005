"""What ``skeegclip demo`` does: simulate, train, score, draw and report."""
