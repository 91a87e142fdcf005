"""What ``skeegclip demo`` does: simulate, train, evaluate, draw and report."""
