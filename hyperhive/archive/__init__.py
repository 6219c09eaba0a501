"""A hive in one file: made while its daemon runs, checked, and restored whole or not at all."""
