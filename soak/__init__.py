"""A long life of a hive in compressed time: does what it holds and what it costs stay as it was?"""
