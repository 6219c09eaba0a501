"""The soak itself: what it finds, and a short one."""
