"""What each operation does, a family a module."""
