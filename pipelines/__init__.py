"""The graph, its schedules and the command line."""
