"""A small Flink job that checks each TaskManager's machine before the work begins."""
