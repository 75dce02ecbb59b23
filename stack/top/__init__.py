"""What ``gaji top`` shows: the metrics of every process, read twice and put into words."""
