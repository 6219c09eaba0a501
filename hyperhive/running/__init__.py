"""The running hive: the façade over the actors."""
