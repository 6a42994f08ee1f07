"""Any backward pass, judged by the file's own forward pass."""
