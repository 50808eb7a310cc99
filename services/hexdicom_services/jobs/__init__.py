"""What a worker does with a job. Every step can be done again after a crash without doing anything twice."""
