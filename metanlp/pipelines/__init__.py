"""What people call: text in, text out."""
